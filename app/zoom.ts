/** Where an image lies in the box that shows it, when one zooms and pans: plain geometry in CSS pixels. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Zoom 1 shows the whole image; x and y, 0 to 1, are the place of the image in the middle of the box. */
export interface View extends Point {
  readonly zoom: number;
}

export const wholeImage: View = { zoom: 1, x: 0.5, y: 0.5 };

// One pixel of the image is not drawn larger than this, but for small images.
const largestPixel = 12;

export interface Placement {
  /** CSS pixels per pixel of the image. */
  readonly scale: number;
  readonly left: number;
  readonly top: number;
}

const fitting = (box: Size, image: Size) => Math.min(box.width / image.width, box.height / image.height);

/** Within the image; a side that fits into the box stays in its middle. */
function centred(at: number, length: number, room: number): number {
  const half = room / length / 2;
  return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, at));
}

function inside({ zoom, x, y }: View, box: Size, image: Size): View {
  const fit = fitting(box, image);
  const most = Math.max(8, largestPixel / fit);
  const bounded = Math.min(most, Math.max(1, zoom));
  const scale = fit * bounded;
  return {
    zoom: bounded,
    x: centred(x, image.width * scale, box.width),
    y: centred(y, image.height * scale, box.height),
  };
}

export function placed(view: View, box: Size, image: Size): Placement {
  const { zoom, x, y } = inside(view, box, image);
  const scale = fitting(box, image) * zoom;
  return {
    scale,
    left: box.width / 2 - x * image.width * scale,
    top: box.height / 2 - y * image.height * scale,
  };
}

/** Zooms by a factor; what lies at a point of the box stays there, as far as the image's edges let it. */
export function zoomedAt(view: View, factor: number, at: Point, box: Size, image: Size): View {
  const before = placed(view, box, image);
  const { zoom } = inside({ ...view, zoom: view.zoom * factor }, box, image);
  const scale = fitting(box, image) * zoom;
  const place = {
    x: (at.x - before.left) / before.scale / image.width,
    y: (at.y - before.top) / before.scale / image.height,
  };
  return inside(
    {
      zoom,
      x: place.x + (box.width / 2 - at.x) / scale / image.width,
      y: place.y + (box.height / 2 - at.y) / scale / image.height,
    },
    box,
    image,
  );
}

/** Moves the image by CSS pixels. */
export function panned(view: View, by: Point, box: Size, image: Size): View {
  const { scale } = placed(view, box, image);
  return inside(
    { ...view, x: view.x - by.x / scale / image.width, y: view.y - by.y / scale / image.height },
    box,
    image,
  );
}

/** The place of the image at a point of the box, 0 to 1; undefined beside the image. */
export function placeAt(view: View, at: Point, box: Size, image: Size): Point | undefined {
  const { scale, left, top } = placed(view, box, image);
  const [x, y] = [(at.x - left) / scale / image.width, (at.y - top) / scale / image.height];
  return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : undefined;
}
