import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // The library finds its teacher beside itself: the development server must not move it.
  optimizeDeps: { exclude: ['aand-webgpu'] },
});
