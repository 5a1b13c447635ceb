/** The device's cameras: which there are, one that is open, and its pictures. Never in the background. */
import { element } from './dom.ts';

const hiddenReason = 'The camera was stopped because the page went into the background.';

export interface CameraChoice {
  /** Empty: the one that looks away from the user, where there are several. */
  readonly id: string;
  /** Lines of the picture; the camera gives what comes nearest. */
  readonly height: number;
}

export interface CameraStream {
  /** Shows what the camera sees; belongs into the page. */
  readonly video: HTMLVideoElement;
  readonly width: number;
  readonly height: number;
  /** What the camera sees now, as a canvas of its own. */
  capture(): OffscreenCanvas;
  stop(): void;
}

/** The cameras. Browsers tell their names once the user has allowed one. */
export async function cameras(): Promise<{ readonly id: string; readonly label: string }[]> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices
    .filter(({ kind }) => kind === 'videoinput')
    .map(({ deviceId, label }, i) => ({ id: deviceId, label: label || `camera ${i + 1}` }));
}

/** Errors of getUserMedia in words that say what to do. */
function cameraError(error: unknown): unknown {
  const { name } = error as Error;
  if (name === 'NotAllowedError')
    return new Error('The browser does not let this page use the camera: allow it beside the address.');
  if (name === 'NotFoundError' || name === 'OverconstrainedError')
    return new Error('No camera was found: connect one, then try again.');
  if (name === 'NotReadableError')
    return new Error('The camera is in use: close the program that uses it, then try again.');
  return error;
}

/**
 * Opens a camera.
 *
 * @param onEnd called once; with a reason, unless {@link CameraStream.stop} ended it
 * @throws Error where there is no camera, it is not allowed or in use, or the page is in the background
 */
export async function openCameraStream(
  { id, height }: CameraChoice,
  onEnd: (reason: string | undefined) => void,
): Promise<CameraStream> {
  if (!navigator.mediaDevices)
    throw new Error('Browsers give cameras to pages over https or on localhost only.');
  const which = id ? { deviceId: { exact: id } } : { facingMode: 'environment' };
  const stream = await navigator.mediaDevices
    .getUserMedia({ video: { ...which, height: { ideal: height }, width: { ideal: (height * 16) / 9 } } })
    .catch((error) => {
      throw cameraError(error);
    });
  const stopTracks = () => {
    for (const track of stream.getTracks()) track.stop();
  };
  if (document.hidden) {
    stopTracks();
    throw new Error(hiddenReason);
  }
  const video = element('video', { className: 'live', muted: true, playsInline: true, srcObject: stream });
  let open = true;
  const end = (reason?: string) => {
    if (!open) return;
    open = false;
    document.removeEventListener('visibilitychange', onHidden);
    stopTracks();
    video.srcObject = null;
    onEnd(reason);
  };
  const onHidden = () => {
    if (document.hidden) end(hiddenReason);
  };
  document.addEventListener('visibilitychange', onHidden);
  for (const track of stream.getTracks())
    track.addEventListener('ended', () => end('The camera was taken away.'));
  try {
    await video.play();
  } catch (error) {
    end();
    throw error;
  }
  return {
    video,
    get width() {
      return video.videoWidth;
    },
    get height() {
      return video.videoHeight;
    },
    capture() {
      const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
      canvas.getContext('2d')?.drawImage(video, 0, 0);
      return canvas;
    },
    stop: () => end(),
  };
}
