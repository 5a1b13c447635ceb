'use client';

import type { Detector, Engine } from 'aand-webgpu';
import { useEffect, useRef, useState } from 'react';

// Imported in the browser alone: where Next renders pages there is no WebGPU.
const library = () => import('aand-webgpu');
let engine: Promise<Engine> | undefined;

export function Inspector() {
  const [model, setModel] = useState<File>();
  const [detector, setDetector] = useState<Detector>();
  const [said, setSaid] = useState('no model');
  const canvas = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    if (!model) return;
    let gone = false;
    const opening = library().then(async ({ Detector, Engine }) => {
      engine ??= Engine.open();
      return Detector.open(await engine, model);
    });
    opening
      .then(async (opened) => {
        await opened.warmup(
          ({ fraction }) => gone || setSaid(`compiling ${Math.round(100 * fraction)} %`),
          [1],
        );
        if (gone) return;
        setDetector(opened);
        setSaid('ready');
      })
      .catch((error: Error) => gone || setSaid(error.message));
    return () => {
      gone = true;
      setDetector(undefined);
      opening.then((opened) => opened.close()).catch(() => {});
    };
  }, [model]);

  const inspect = async (photograph: File | undefined) => {
    if (!detector || !photograph || !canvas.current) return;
    try {
      const { drawOverlay } = await library();
      const prediction = await detector.predict(photograph);
      const bitmap = await createImageBitmap(photograph);
      drawOverlay(canvas.current, bitmap, prediction, { scale: detector.scale, mask: prediction.mask });
      const { anomalous, normalizedScore, score } = prediction;
      setSaid(`${anomalous ? 'anomalous' : 'good'} ${(normalizedScore ?? score).toFixed(3)}`);
    } catch (error) {
      setSaid((error as Error).message);
    }
  };

  return (
    <>
      <p>
        <label>
          Model of aand train{' '}
          <input type="file" accept=".safetensors" onChange={({ target }) => setModel(target.files?.[0])} />
        </label>
      </p>
      <p>
        <label>
          Photograph{' '}
          <input type="file" accept="image/*" onChange={({ target }) => inspect(target.files?.[0])} />
        </label>
      </p>
      <p>
        <output>{said}</output>
      </p>
      <canvas ref={canvas} width={384} height={384} style={{ maxWidth: '100%' }} />
    </>
  );
}
