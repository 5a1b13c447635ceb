import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Inspector } from './inspector';
import './style.css';

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <Inspector />
  </StrictMode>,
);
