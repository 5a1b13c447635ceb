/** Where figures come from: what every file of results says about itself. */
export interface Provenance {
  /** The command that gives them again. */
  readonly command: string;
  /** The day, as YYYY-MM-DD. */
  readonly date: string;
  /** The commit that was checked out, `+` after it where files differed from it; else the version. */
  readonly commit: string;
  /** Number of cores, processor, memory. */
  readonly machine: string;
  /** The WebGPU adapter as its driver describes it. */
  readonly driver: string;
  /** Version of Node; null in a browser, and where an old record does not say. */
  readonly node: string | null;
  /**
   * Processes that wanted a core when the measuring began (mean of a minute); 0 on a quiet machine, null
   * where it is not known.
   */
  readonly load: number | null;
  /** What a reader must know besides. */
  readonly note?: string;
}
