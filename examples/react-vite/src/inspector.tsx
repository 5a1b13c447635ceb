import { drawOverlay } from 'aand-webgpu';
import { useEffect, useRef, useState } from 'react';
import { useDetector } from './use_detector';

export function Inspector() {
  const [model, setModel] = useState<File>();
  const [photograph, setPhotograph] = useState<File>();
  const [verdict, setVerdict] = useState('');
  const canvas = useRef<HTMLCanvasElement>(null);
  const { detector, ready, error } = useDetector(model);

  useEffect(() => {
    if (!detector || !photograph) return;
    let gone = false;
    const inspect = async () => {
      const prediction = await detector.predict(photograph);
      const bitmap = await createImageBitmap(photograph);
      if (gone || !canvas.current) return;
      drawOverlay(canvas.current, bitmap, prediction, { scale: detector.scale, mask: prediction.mask });
      const { anomalous, normalizedScore, score } = prediction;
      setVerdict(`${anomalous ? 'anomalous' : 'good'} ${(normalizedScore ?? score).toFixed(3)}`);
    };
    inspect().catch((reason: Error) => gone || setVerdict(reason.message));
    return () => {
      gone = true;
    };
  }, [detector, photograph]);

  const state = error ?? (detector ? 'ready' : model ? `compiling ${Math.round(100 * ready)} %` : 'no model');
  return (
    <>
      <h1>Inspection with React</h1>
      <label>
        Model of aand train{' '}
        <input type="file" accept=".safetensors" onChange={({ target }) => setModel(target.files?.[0])} />
      </label>
      <label>
        Photograph{' '}
        <input type="file" accept="image/*" onChange={({ target }) => setPhotograph(target.files?.[0])} />
      </label>
      <p>
        <output>{photograph && detector ? verdict : state}</output>
      </p>
      <canvas ref={canvas} width={384} height={384} />
    </>
  );
}
