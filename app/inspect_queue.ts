/** Images that wait to be inspected: for their turn, or for a model that is being opened. */
import { append } from '../src/base/lists.ts';
import { advice, showProblem } from './connection.ts';
import type { Item } from './inspection.ts';
import type { MapResult } from './types.ts';

/** What the queue needs of the view. */
export interface QueueTargets {
  predict(item: Item): Promise<MapResult>;
  /** An image was judged: it is listed, kept and shown. */
  judged(item: Item, result: MapResult): Promise<void>;
  /** What is being done. */
  say(text: string): void;
  /** Nothing is being done any more. */
  idle(): void;
}

export function createQueue({ predict, judged, say, idle }: QueueTargets) {
  let todo: Item[] = [];
  let running = false;
  /** A model is being opened. */
  let held = false;
  /** Results of an earlier round are of another model, or of images that are gone. */
  let round = 0;

  const wait = () => say(`${todo.length} images wait for the model`);

  /** One after the other. What comes meanwhile is taken too. */
  const run = async () => {
    if (running) return;
    running = true;
    const failed: string[] = [];
    let done = 0;
    try {
      while (todo.length && !held) {
        const [item] = todo as [Item];
        const own = round;
        say(`inspecting ${++done} of ${done - 1 + todo.length}`);
        try {
          const result = await predict(item);
          if (own !== round) continue;
          todo.shift();
          await judged(item, result);
        } catch (error) {
          if (todo[0] === item) todo.shift();
          failed.push(advice(error));
        }
      }
    } finally {
      running = false;
    }
    idle();
    if (held && todo.length) wait();
    if (failed.length)
      showProblem(
        failed.length === 1
          ? failed[0]
          : `${failed.length} of ${done} images failed: ` +
              `${failed.slice(0, 5).join('; ')}${failed.length > 5 ? '; …' : ''}`,
      );
  };

  return {
    /** What waits. */
    get items(): readonly Item[] {
      return todo;
    },
    add(items: readonly Item[]): void {
      append(todo, items);
    },
    /** These are judged anew, before what waits. */
    again(items: readonly Item[]): void {
      round++;
      todo = [...items, ...todo];
    },
    clear(): void {
      round++;
      todo = [];
    },
    hold(on: boolean): void {
      held = on;
    },
    wait,
    run,
  };
}
