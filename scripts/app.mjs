// Serves the page (dist/app) on localhost.
import { createServer } from 'node:http';
import sirv from 'sirv';

const port = Number(process.env.PORT ?? 8080);
createServer(sirv('dist/app', { dev: true })).listen(port, '127.0.0.1', () => {
  console.log(`the page is at http://127.0.0.1:${port}/  (Ctrl-C ends)`);
});
