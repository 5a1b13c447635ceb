/**
 * Training, fine-tuning, tuning and the bench run one at a time: two would slow each other down and measure
 * wrong times.
 */
export class LongWork {
  #running: string | undefined;

  get busy(): boolean {
    return this.#running !== undefined;
  }

  /**
   * @param name what the user would call it, with its article
   * @throws Error naming the work that is under way
   */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#running)
      throw new Error(`${this.#running} is under way: wait for its end, or stop it, before ${name}`);
    this.#running = name;
    try {
      return await work();
    } finally {
      this.#running = undefined;
    }
  }
}
