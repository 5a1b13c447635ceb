/** Who may ask: a bearer token, compared in a time that says nothing about it. */
import { createHash, timingSafeEqual } from 'node:crypto';

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Whether a request's `authorization` header has the token. Without a token everybody may ask. */
export function mayAsk(header: string | undefined, token: string | undefined): boolean {
  if (token === undefined) return true;
  const given = /^bearer +(\S+) *$/i.exec(header ?? '')?.[1];
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

/** Whether only programs of this machine reach an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
