declare module '*.wesl' {
  const text: string;
  export default text;
}
