/** Parts of the Inspect view without a browser: where a zoomed image lies, how saved pictures are called. */
import { describe, expect, test } from 'vitest';
import { pictureNames } from '../app/picture_export.ts';
import { panned, placeAt, placed, wholeImage, zoomedAt } from '../app/zoom.ts';

describe('the place of an image in its box', () => {
  const [box, image] = [
    { width: 300, height: 200 },
    { width: 1000, height: 500 },
  ];

  test('the whole image fits, in the middle', () => {
    expect(placed(wholeImage, box, image)).toEqual({ scale: 0.3, left: 0, top: 25 });
    expect(placeAt(wholeImage, { x: 150, y: 100 }, box, image)).toEqual({ x: 0.5, y: 0.5 });
    expect(placeAt(wholeImage, { x: 150, y: 10 }, box, image)).toBeUndefined();
  });

  test('what lies under the pointer stays there while one zooms, in and out again', () => {
    const at = { x: 220, y: 120 };
    const before = placeAt(wholeImage, at, box, image);
    const near = zoomedAt(wholeImage, 4, at, box, image);
    expect(near.zoom).toBe(4);
    const after = placeAt(near, at, box, image);
    expect(after?.x).toBeCloseTo(before?.x as number, 9);
    expect(after?.y).toBeCloseTo(before?.y as number, 9);
    expect(zoomedAt(near, 1 / 8, at, box, image)).toEqual(wholeImage);
  });

  test('panning ends at the edges, and does not move the whole image', () => {
    expect(panned(wholeImage, { x: 50, y: 50 }, box, image)).toEqual(wholeImage);
    const near = zoomedAt(wholeImage, 2, { x: 150, y: 100 }, box, image);
    const corner = placed(panned(near, { x: 9999, y: 9999 }, box, image), box, image);
    expect(corner.left).toBeCloseTo(0, 9);
    expect(corner.top).toBeCloseTo(0, 9);
    const moved = placed(panned(near, { x: -10, y: 0 }, box, image), box, image);
    expect(moved.left).toBeCloseTo(placed(near, box, image).left - 10, 9);
  });
});

test('pictures in a ZIP file lie in their folders, no two under one name, none outside', () => {
  const names = ['a/0.png', 'b/0.png', 'b/0.jpg', '../../x.png', '/0.png'];
  expect(pictureNames(names.map((name) => ({ name })))).toEqual([
    'pictures/a/0.png',
    'pictures/b/0.png',
    'pictures/b/0 (2).png',
    'pictures/x.png',
    'pictures/0.png',
  ]);
});
