// Comparisons and logic whose result is bool: four elements an invocation, written as one word.
// operands: result (bytes), table, x, y
// variant float: -DLOAD=load_float
// variant int: -DLOAD=load_int
// variant int64: -DLOAD=load_int64
// variant bool: -DLOAD=load_bool
// variant i8: -DLOAD=load_typed -DNUMBERS -DT_I8
// variant u8: -DLOAD=load_typed -DNUMBERS -DT_U8
// variant i16: -DLOAD=load_typed -DNUMBERS -DT_I16
// variant u16: -DLOAD=load_typed -DNUMBERS -DT_U16
// variant u32: -DLOAD=load_typed -DNUMBERS -DT_U32
// variant u64: -DLOAD=load_typed -DNUMBERS -DT_U64
// variant f64: -DLOAD=load_typed -DNUMBERS -DT_F64
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/strided.glsl"
#ifdef NUMBERS
#include "common/typed.glsl"
#endif

layout(local_size_x = GROUP) in;
// 0 equal, 1 less, 2 less or equal, 3 greater, 4 greater or equal, 5 and, 6 or, 7 exclusive or, 8 not (of x alone).
layout(constant_id = 2) const uint kOp = 0;
PUSH(uint count;);

// What every type comes down to: -1, 0 or 1 for less, equal and greater, 2 for numbers that do not compare.
int load_float(uint i, uint j) {
  const float x = Floats(ADDRESS(2)).at[i], y = Floats(ADDRESS(3)).at[j];
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}
int load_int(uint i, uint j) {
  const int x = Integers(ADDRESS(2)).at[i], y = Integers(ADDRESS(3)).at[j];
  return x < y ? -1 : x > y ? 1 : 0;
}
int load_int64(uint i, uint j) {
  const uvec2 x = Pairs(ADDRESS(2)).at[i], y = Pairs(ADDRESS(3)).at[j];
  if (x.y != y.y) return int(x.y) < int(y.y) ? -1 : 1;
  return x.x < y.x ? -1 : x.x > y.x ? 1 : 0;
}

int load_bool(uint i, uint j) {
  const uint x = byte_at(Words(ADDRESS(2)), i), y = byte_at(Words(ADDRESS(3)), j);
  return int(x != 0) - int(y != 0);
}

#ifdef NUMBERS
int load_typed(uint i, uint j) {
  const NUMBER x = NUMBER(Elements(ADDRESS(2)).at[i]), y = NUMBER(Elements(ADDRESS(3)).at[j]);
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}
#endif

bool compare(uint i, uint j) {
  const int order = LOAD(i, j);
  switch (kOp) {
    case 0:
      return order == 0;
    case 1:
      return order == -1;
    case 2:
      return order == -1 || order == 0;
    case 3:
      return order == 1;
    default:
      return order == 1 || order == 0;
  }
}

bool logic(uint i, uint j) {
  const bool x = byte_at(Words(ADDRESS(2)), i) != 0;
  if (kOp == 8) return !x;
  const bool y = byte_at(Words(ADDRESS(3)), j) != 0;
  return kOp == 5 ? x && y : kOp == 6 ? x || y : x != y;
}

void main() {
  const uint word = item_number(), begin = word * 4;
  if (begin >= push.count) return;
  Words table = Words(ADDRESS(1));
  uint bits = 0;
  for (uint k = 0; k < 4 && begin + k < push.count; ++k) {
    const uint i = offset_of(table, 0, 0, begin + k), j = kOp == 8 ? 0 : offset_of(table, 0, 1, begin + k);
    const bool holds = kOp >= 5 ? logic(i, j) : compare(i, j);
    bits |= (holds ? 1u : 0u) << (8 * k);
  }
  // The arena's pieces are whole words.
  Words(ADDRESS(0)).at[word] = bits;
}
