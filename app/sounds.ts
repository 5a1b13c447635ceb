/** Two sounds for verdicts: a short high one, and a low one that comes twice. */

export class Sounds {
  #context: AudioContext | undefined;

  /** Browsers let a page make sounds from a click on. */
  open(): void {
    this.#context ??= new AudioContext();
    // A browser that refuses plays nothing; the verdict is on the screen.
    this.#context.resume().catch(() => {});
  }

  #tone(frequency: number, start: number, seconds: number): void {
    const context = this.#context;
    if (!context) return;
    const at = context.currentTime + start;
    const tone = new OscillatorNode(context, { frequency, type: 'sine' });
    const volume = new GainNode(context, { gain: 0 });
    volume.gain.setTargetAtTime(0.3, at, 0.01);
    volume.gain.setTargetAtTime(0, at + seconds, 0.02);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + seconds + 0.2);
  }

  verdict(anomalous: boolean): void {
    if (anomalous) {
      this.#tone(220, 0, 0.2);
      this.#tone(220, 0.35, 0.2);
    } else this.#tone(880, 0, 0.1);
  }
}
