/** The answers of the server as JSON schemas: they write the answers, and the OpenAPI document. */
import { mostRegions } from './judgement.ts';

const share = (description: string) => ({ type: 'number', minimum: 0, maximum: 1, description });

const region = {
  type: 'object',
  required: ['x', 'y', 'width', 'height', 'area', 'peak'],
  properties: {
    x: { type: 'integer', minimum: 0, description: 'pixels of the image that was sent, from its left' },
    y: { type: 'integer', minimum: 0, description: 'from its top' },
    width: { type: 'integer', minimum: 1 },
    height: { type: 'integer', minimum: 1 },
    area: share('share of the image'),
    peak: share('the largest value; 0.5 is at the threshold'),
  },
} as const;

/** An answer to an image. */
export const judgementSchema = {
  $id: 'Judgement',
  type: 'object',
  required: ['model', 'name', 'time', 'raw_score', 'pred_score', 'pred_label', 'width', 'height'],
  properties: {
    model: { type: 'string' },
    name: { type: ['string', 'null'], description: 'what the sender calls the image' },
    time: { type: 'string', format: 'date-time' },
    raw_score: { type: 'number', description: "the model's own scale" },
    pred_score: {
      type: ['number', 'null'],
      description: '0 to 1, 0.5 is at the threshold; null for a model without a threshold',
    },
    pred_label: { type: ['string', 'null'], enum: ['good', 'anomalous', null] },
    width: { type: 'integer', description: 'of the image that was sent, after EXIF rotation' },
    height: { type: 'integer' },
    marked_area: { type: ['number', 'null'], description: 'share of the image that is marked' },
    regions: {
      type: 'array',
      maxItems: mostRegions,
      items: region,
      description: 'marked regions, the largest first',
    },
    milliseconds: { type: 'number', description: 'from the whole image being there to the answer' },
    drift: {
      type: ['string', 'null'],
      description: 'what to do where scores have left those of the calibration; null while they have not',
    },
    picture: { type: 'string', description: 'a PNG as data URL, where one was asked for' },
  },
} as const;

/** An answer that says what is wrong. */
export const errorSchema = {
  $id: 'Error',
  type: 'object',
  required: ['error'],
  properties: { error: { type: 'string', description: 'what is wrong, and what to do' } },
} as const;

/** A model that is served. */
export const modelSchema = {
  $id: 'Model',
  type: 'object',
  required: ['name', 'image_size', 'mode', 'backbone', 'threshold'],
  properties: {
    name: { type: 'string' },
    image_size: { type: 'integer', description: 'side in pixels that images are resized to' },
    mode: { type: 'string' },
    backbone: { type: 'string' },
    threshold: { type: ['number', 'null'], description: 'of raw scores; null for a model without one' },
    inspected: share('share of an image that is inspected: below 1 with a region of interest'),
    drift: { type: ['string', 'null'], description: 'as in a judgement' },
  },
} as const;

const text = (description: string) => ({
  description,
  content: { 'application/json': { schema: { $ref: 'Error#' } } },
});

/** What every route that takes images may answer instead of a judgement. */
export const failures = {
  400: text('the bytes are no image that can be decoded, or a query value is none of those allowed'),
  401: text('the bearer token is missing or wrong'),
  404: text('no model has this name'),
  413: text('the image file is larger than the server takes'),
  415: text('a form was sent; send the bytes of the file as the body'),
  429: text('too many images are under way; ask again after the seconds in retry-after'),
  500: text('the image could not be judged'),
  503: text('the image took too long, or the server stops'),
};

export const pictureKinds = ['none', 'overlay', 'heatmap', 'mask'] as const;
/** Which picture an answer brings. */
export type PictureKind = (typeof pictureKinds)[number];

export const predictQuery = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 500, description: 'what the sender calls the image' },
    picture: {
      type: 'string',
      enum: pictureKinds,
      default: 'none',
      description:
        'overlay: the heat map over the image, marked regions outlined, 1024 pixels at most; heatmap: the ' +
        'colours alone, and mask: black and white, both in the size of the map',
    },
  },
  additionalProperties: false,
} as const;
