import type { ReactNode } from 'react';

export const metadata = { title: 'Inspection with Next' };

export default function Layout({ children }: { readonly children: ReactNode }) {
  return (
    <html lang="en">
      <body
        style={{ colorScheme: 'light dark', font: '16px/1.5 system-ui', margin: '2rem auto', maxWidth: 736 }}
      >
        {children}
      </body>
    </html>
  );
}
