/** The part of the ONNX protocol buffers (onnx.proto, IR version 8) that the exporter writes. */
import protobuf from 'protobufjs/light.js';

const field = (id: number, type: string) => ({ id, type });
const repeated = (id: number, type: string) => ({ id, type, rule: 'repeated' });
// onnx.proto is proto2: its repeated numbers are not packed, except where it says so.
const unpacked = (id: number, type: string) => ({ id, type, rule: 'repeated', options: { packed: false } });

const root = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: field(1, 'int64'),
        producerName: field(2, 'string'),
        producerVersion: field(3, 'string'),
        graph: field(7, 'GraphProto'),
        opsetImport: repeated(8, 'OperatorSetIdProto'),
        metadataProps: repeated(14, 'StringStringEntryProto'),
      },
    },
    StringStringEntryProto: { fields: { key: field(1, 'string'), value: field(2, 'string') } },
    OperatorSetIdProto: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    GraphProto: {
      fields: {
        node: repeated(1, 'NodeProto'),
        name: field(2, 'string'),
        initializer: repeated(5, 'TensorProto'),
        input: repeated(11, 'ValueInfoProto'),
        output: repeated(12, 'ValueInfoProto'),
      },
    },
    NodeProto: {
      fields: {
        input: repeated(1, 'string'),
        output: repeated(2, 'string'),
        name: field(3, 'string'),
        opType: field(4, 'string'),
        attribute: repeated(5, 'AttributeProto'),
      },
    },
    AttributeProto: {
      fields: {
        name: field(1, 'string'),
        f: field(2, 'float'),
        i: field(3, 'int64'),
        s: field(4, 'bytes'),
        ints: unpacked(8, 'int64'),
        type: field(20, 'int32'),
      },
    },
    TensorProto: {
      fields: {
        dims: unpacked(1, 'int64'),
        dataType: field(2, 'int32'),
        name: field(8, 'string'),
        rawData: field(9, 'bytes'),
      },
    },
    ValueInfoProto: { fields: { name: field(1, 'string'), type: field(2, 'TypeProto') } },
    TypeProto: { fields: { tensorType: field(1, 'TensorTypeProto') } },
    TensorTypeProto: { fields: { elemType: field(1, 'int32'), shape: field(2, 'TensorShapeProto') } },
    TensorShapeProto: { fields: { dim: repeated(1, 'DimensionProto') } },
    DimensionProto: { fields: { dimValue: field(1, 'int64'), dimParam: field(2, 'string') } },
  },
});

const model = root.lookupType('ModelProto');

/**
 * An attribute of an ONNX node: a whole number, a float (given as `{ float }`), a string or a list of whole
 * numbers.
 */
export type OnnxAttribute = number | { readonly float: number } | string | readonly number[];

export interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | BigInt64Array;
}

/** An input or output of the graph; a dimension with a name is free. */
export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly (number | string)[];
  /** float where it is absent. */
  readonly type?: 'uint8' | 'bool';
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly metadata: Readonly<Record<string, string>>;
}

const elementType = { float: 1, uint8: 2, int64: 7, bool: 9 };
const attributeType = { float: 1, int: 2, string: 3, ints: 7 };

function encodeAttribute(name: string, value: OnnxAttribute): Record<string, unknown> {
  if (typeof value === 'number') return { name, i: value, type: attributeType.int };
  if (typeof value === 'string')
    return { name, s: new TextEncoder().encode(value), type: attributeType.string };
  if ('float' in value) return { name, f: value.float, type: attributeType.float };
  return { name, ints: [...value], type: attributeType.ints };
}

function encodeValue({ name, shape, type = undefined }: OnnxValue): Record<string, unknown> {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: elementType[type ?? 'float'], shape: { dim } } } };
}

/** A graph as the bytes of an .onnx file: operator set 18. */
export function encodeOnnx(graph: OnnxGraph, producerVersion: string): Uint8Array {
  return model
    .encode(
      model.fromObject({
        irVersion: 8,
        producerName: 'aand-webgpu',
        producerVersion,
        opsetImport: [{ domain: '', version: 18 }],
        metadataProps: Object.entries(graph.metadata).map(([key, value]) => ({ key, value })),
        graph: {
          name: graph.name,
          node: graph.nodes.map(({ type, inputs, outputs, attributes }, index) => ({
            name: `${type}_${index}`,
            opType: type,
            input: [...inputs],
            output: [...outputs],
            attribute: Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value)),
          })),
          initializer: graph.initializers.map(({ name, shape, values }) => ({
            name,
            dims: [...shape],
            dataType: values instanceof Float32Array ? elementType.float : elementType.int64,
            rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
          })),
          input: graph.inputs.map(encodeValue),
          output: graph.outputs.map(encodeValue),
        },
      }),
    )
    .finish();
}

interface Decoded {
  graph: {
    name: string;
    node: { opType: string; input: string[]; output: string[]; attribute: DecodedAttribute[] }[];
    initializer: { name: string; dims: unknown[]; dataType: number; rawData: Uint8Array }[];
    input: DecodedValue[];
    output: DecodedValue[];
  };
  metadataProps: { key: string; value: string }[];
}

interface DecodedAttribute {
  name: string;
  type: number;
  f: number;
  i: unknown;
  s: Uint8Array;
  ints: unknown[];
}

interface DecodedValue {
  name: string;
  type: { tensorType: { elemType: number; shape: { dim: { dimValue: unknown; dimParam: string }[] } } };
}

function decodeAttribute(a: DecodedAttribute): OnnxAttribute {
  if (a.type === attributeType.int) return Number(a.i);
  if (a.type === attributeType.float) return { float: a.f };
  return a.type === attributeType.string ? new TextDecoder().decode(a.s) : a.ints.map(Number);
}

/** The inverse of {@link encodeOnnx}, for what it writes. */
export function decodeOnnx(bytes: Uint8Array): OnnxGraph {
  const { graph, metadataProps } = model.decode(bytes) as unknown as Decoded;
  const value = ({ name, type: { tensorType } }: DecodedValue): OnnxValue => {
    const shape = tensorType.shape.dim.map(({ dimValue, dimParam }) => dimParam || Number(dimValue));
    const type = (['uint8', 'bool'] as const).find((key) => elementType[key] === tensorType.elemType);
    return { name, shape, ...(type && { type }) };
  };
  return {
    name: graph.name,
    nodes: graph.node.map(({ opType, input, output, attribute }) => ({
      type: opType,
      inputs: input,
      outputs: output,
      attributes: Object.fromEntries(attribute.map((a) => [a.name, decodeAttribute(a)])),
    })),
    initializers: graph.initializer.map(({ name, dims, dataType, rawData }) => {
      const { buffer } = new Uint8Array(rawData);
      return {
        name,
        shape: dims.map(Number),
        values: dataType === elementType.float ? new Float32Array(buffer) : new BigInt64Array(buffer),
      };
    }),
    inputs: graph.input.map(value),
    outputs: graph.output.map(value),
    metadata: Object.fromEntries(metadataProps.map(({ key, value: text }) => [key, text])),
  };
}
