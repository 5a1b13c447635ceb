/** Mean and deviation over seeds. */

/** The deviation is that of a sample; null where there is one value. */
export interface Statistic {
  readonly mean: number;
  readonly deviation: number | null;
}

/** Null where nothing was measured. */
export function statistic(values: readonly number[]): Statistic | null {
  if (!values.length) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : null };
}
