/** Where images come from besides requests. */

/** Brings images by itself. It waits while the server is full, and tells of its failures in words. */
export interface Source {
  /** As messages and numbers call it, without secrets. */
  readonly name: string;
  /** Takes no more images, and waits for those that are under way. */
  close(): Promise<void>;
}
