// TopK of long rows: their places in order, by a network that compares places in pairs. NaN is larger than every number,
// equals stand in the order of their indices, and the places behind a row's end come last.
// operands of the network: places [rows, padded], source
// operands of the end: values, indices (int64), source, places
// variant i8: -DT_I8
// variant u8: -DT_U8
// variant i16: -DT_I16
// variant u16: -DT_U16
// variant i32: -DT_I32
// variant u32: -DT_U32
// variant i64: -DT_I64
// variant u64: -DT_U64
// variant f32: -DT_F32
// variant f64: -DT_F64
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kLargest = 1;
// Which outputs there are: bit 0 the values, bit 1 the indices.
layout(constant_id = 1) const uint kOutputs = 3;
// 0 begins: blocks of twice the group become runs; 1 one step of a merge; 2 the steps of a merge inside of such blocks; 3 writes.
layout(constant_id = 2) const uint kPhase = 0;
// Rows are a power of two long; `run` is twice the length of the runs that are merged, `apart` the distance of a pair.
PUSH(uint count; uint n; uint inner; uint k; uint padded; uint run; uint apart;);

#define BLOCK (2 * GROUP)
shared uint places[BLOCK];

uint base_of(uint row) { return row / push.inner * push.n * push.inner + row % push.inner; }

// Whether what stands at place a of a row comes in front of what stands at b.
bool before(Elements source, uint base, uint a, uint b) {
  if (a >= push.n || b >= push.n) return a < b;
  const NUMBER x = NUMBER(source.at[base + a * push.inner]), y = NUMBER(source.at[base + b * push.inner]);
  const bool first = kLargest == 1 ? x > y || (is_nan(x) && !is_nan(y)) : x < y || (!is_nan(x) && is_nan(y));
  const bool second = kLargest == 1 ? y > x || (is_nan(y) && !is_nan(x)) : y < x || (!is_nan(y) && is_nan(x));
  return first || (!second && a < b);
}

// Puts the pair of this lane in order, in a block that begins at `begin` of its row.
void exchange(Elements source, uint base, uint begin, uint run, uint apart) {
  const uint lane = gl_LocalInvocationID.x, i = (lane / apart) * 2 * apart + lane % apart;
  const uint a = places[i], b = places[i + apart];
  const bool rising = ((begin + i) & run) == 0;
  if (before(source, base, b, a) == rising) {
    places[i] = b;
    places[i + apart] = a;
  }
  barrier();
}

void main() {
  if (kPhase == 3) {
    const uint item = item_number();
    if (item >= push.count) return;
    const uint row = item / push.k, place = item % push.k, from = Words(ADDRESS(3)).at[row * push.padded + place];
    const uint to = (row / push.inner * push.k + place) * push.inner + row % push.inner;
    if ((kOutputs & 1) != 0) Elements(ADDRESS(0)).at[to] = Elements(ADDRESS(2)).at[base_of(row) + from * push.inner];
    if ((kOutputs & 2) != 0) Pairs(ADDRESS(1)).at[to] = uvec2(from, 0);
    return;
  }
  Words order = Words(ADDRESS(0));
  Elements source = Elements(ADDRESS(1));
  if (kPhase == 1) {
    const uint item = item_number();
    if (item >= push.count) return;
    const uint each = push.padded / 2, row = item / each, pair = item % each;
    const uint i = pair / push.apart * 2 * push.apart + pair % push.apart, at = row * push.padded + i;
    const uint a = order.at[at], b = order.at[at + push.apart];
    if (before(source, base_of(row), b, a) == ((i & push.run) == 0)) {
      order.at[at] = b;
      order.at[at + push.apart] = a;
    }
    return;
  }
  // `count` are the blocks.
  const uint block = group_number(), lane = gl_LocalInvocationID.x;
  if (block >= push.count) return;
  const uint blocks = push.padded / BLOCK, row = block / blocks, begin = block % blocks * BLOCK;
  const uint base = base_of(row), at = row * push.padded + begin;
  for (uint i = lane; i < BLOCK; i += GROUP) places[i] = kPhase == 0 ? begin + i : order.at[at + i];
  barrier();
  if (kPhase == 0) {
    for (uint run = 2; run <= BLOCK; run *= 2)
      for (uint apart = run / 2; apart > 0; apart /= 2) exchange(source, base, begin, run, apart);
  } else {
    for (uint apart = BLOCK / 2; apart > 0; apart /= 2) exchange(source, base, begin, push.run, apart);
  }
  for (uint i = lane; i < BLOCK; i += GROUP) order.at[at + i] = places[i];
}
