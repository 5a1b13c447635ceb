/** The package's main file exports nothing in Node; this one does, and has no types of its own. */
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export { type VariableInfo, WgslReflect } from 'wgsl_reflect';
}
