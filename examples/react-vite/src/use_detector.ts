/** A detector for components: opened with its model, closed when the model changes or the component goes. */
import { Detector, Engine } from 'aand-webgpu';
import { useEffect, useState } from 'react';

/** What a component knows of its detector. */
export interface Opened {
  readonly detector?: Detector;
  /** How much of it is compiled, 0 to 1. */
  readonly ready: number;
  readonly error?: string;
}

// One for the whole page, opened when it is first needed.
let engine: Promise<Engine> | undefined;

export function useDetector(model: File | undefined): Opened {
  const [opened, setOpened] = useState<Opened>({ ready: 0 });
  useEffect(() => {
    if (!model) return;
    let gone = false;
    setOpened({ ready: 0 });
    engine ??= Engine.open();
    const opening = engine.then((opened) => Detector.open(opened, model));
    opening
      .then(async (detector) => {
        await detector.warmup(({ fraction }) => gone || setOpened({ ready: fraction }), [1]);
        if (!gone) setOpened({ detector, ready: 1 });
      })
      .catch((error: Error) => gone || setOpened({ ready: 0, error: error.message }));
    return () => {
      gone = true;
      opening.then((detector) => detector.close()).catch(() => {});
    };
  }, [model]);
  return opened;
}
