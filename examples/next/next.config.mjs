/** @type {import('next').NextConfig} */
export default {
  // A folder of static files: the inspection runs in the browser.
  output: 'export',
};
