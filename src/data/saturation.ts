/**
 * From which area on a defect counts as found whole: MVTec LOCO AD says it for each kind of defect, for of a
 * part that lies in the wrong place nobody can say which pixels are wrong.
 */
import * as v from 'valibot';

const rules = v.pipe(
  v.array(
    v.object({
      pixel_value: v.pipe(v.number(), v.minValue(1), v.maxValue(255)),
      saturation_threshold: v.pipe(v.number(), v.gtValue(0)),
      relative_saturation: v.boolean(),
    }),
  ),
  v.minLength(1),
);

/** A kind of defect, by the value of its masks. */
export interface SaturationRule {
  /** 1 to 255. */
  readonly value: number;
  /** Pixels of the mask file; where it is relative, a share of the defect's area. */
  readonly threshold: number;
  readonly relative: boolean;
}

/**
 * The rules of a `defects_config.json`.
 *
 * @throws Error naming the field that is not as it has to be
 */
export function parseSaturation(text: string): SaturationRule[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new Error(`not valid JSON (${(error as Error).message})`);
  }
  const { success, output, issues } = v.safeParse(rules, content);
  if (!success) throw new Error(`${v.getDotPath(issues[0]) ?? 'the list'}: ${issues[0].message}`);
  return output.map(({ pixel_value, saturation_threshold, relative_saturation }) => ({
    value: pixel_value,
    threshold: saturation_threshold,
    relative: relative_saturation,
  }));
}
