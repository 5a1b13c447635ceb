/** Errors as HTTP statuses. */
import { errorCode } from '../base/errors.ts';

/** An error with an HTTP status. */
export class HttpError extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** The HTTP status of an error. */
export function statusOf(error: unknown): number {
  const { statusCode } = error as { readonly statusCode?: unknown };
  if (typeof statusCode === 'number') return statusCode;
  switch (errorCode(error)) {
    case 'invalid-image':
      return 400;
    case 'device-lost':
    case 'closed':
      return 503;
    default:
      return 500;
  }
}
