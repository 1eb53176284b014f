// Arithmetic of integers and of double over operands that broadcast; integers wrap around, and what divides by zero is
// zero.
// operands: result, table, x, y (for functions of two operands)
// variant i8: -DT_I8
// variant u8: -DT_U8
// variant i16: -DT_I16
// variant u16: -DT_U16
// variant i32: -DT_I32
// variant u32: -DT_U32
// variant i64: -DT_I64
// variant u64: -DT_U64
// variant f64: -DT_F64
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/strided.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
// In the order of gpu::Arith.
layout(constant_id = 2) const uint kFunction = 0;
PUSH(uint count;);

const uint kAdd = 0, kSub = 1, kMul = 2, kDiv = 3, kMax = 4, kMin = 5, kModFloor = 6, kModTrunc = 7, kAnd = 8, kOr = 9,
           kXor = 10, kShiftLeft = 11, kShiftRight = 12, kPow = 13, kPRelu = 14, kAbs = 15, kNeg = 16, kSign = 17,
           kInvert = 18, kRelu = 19, kCeil = 20, kFloor = 21, kRound = 22, kSqrt = 23, kReciprocal = 24, kCopy = 25;

#ifdef FLOATING

NUMBER binary(NUMBER x, NUMBER y) {
  switch (kFunction) {
    case kAdd:
      return x + y;
    case kSub:
      return x - y;
    case kMul:
      return x * y;
    case kDiv:
      return x / y;
    case kMax:
      return larger_of(x, y);
    case kMin:
      return smaller_of(x, y);
    default:
      return x < NUMBER(0) ? x * y : x;
  }
}

// Half to even; drivers compute roundEven of double in float32.
NUMBER nearest(NUMBER x) {
  const NUMBER low = floor(x), rest = x - low;
  const bool up = rest > NUMBER(0.5) || (rest == NUMBER(0.5) && floor(low * NUMBER(0.5)) * NUMBER(2) != low);
  return up ? low + NUMBER(1) : low;
}

NUMBER unary(NUMBER x) {
  switch (kFunction) {
    case kAbs:
      return abs(x);
    case kNeg:
      return -x;
    case kSign:
      return x > NUMBER(0) ? NUMBER(1) : x < NUMBER(0) ? NUMBER(-1) : x;
    case kRelu:
      return x < NUMBER(0) ? NUMBER(0) : x;
    case kCeil:
      return ceil(x);
    case kFloor:
      return floor(x);
    case kRound:
      return nearest(x);
    case kSqrt:
      return sqrt(x);
    case kReciprocal:
      return NUMBER(1) / x;
    default:
      return x;
  }
}

#else

NUMBER divided(NUMBER x, NUMBER y) {
  if (y == NUMBER(0)) return NUMBER(0);
#ifdef SIGNED
  if (y == NUMBER(-1)) return -x;
#endif
  return x / y;
}

NUMBER shifted(NUMBER x, NUMBER amount) {
  const bool out_of_it = amount < NUMBER(0) || amount >= NUMBER(BYTES * 8);
  if (kFunction == kShiftLeft) return out_of_it ? NUMBER(0) : x << int(amount);
  return x >> (out_of_it ? BYTES * 8 - 1 : int(amount)) >> (out_of_it ? 1 : 0);
}

NUMBER power(NUMBER base, NUMBER exponent) {
#ifdef SIGNED
  if (exponent < NUMBER(0)) {
    if (base == NUMBER(1)) return base;
    if (base == NUMBER(-1)) return (exponent & NUMBER(1)) != NUMBER(0) ? base : NUMBER(1);
    return NUMBER(0);
  }
#endif
  NUMBER result = NUMBER(1);
  for (NUMBER e = exponent; e != NUMBER(0); e = e >> 1) {
    if ((e & NUMBER(1)) != NUMBER(0)) result *= base;
    base *= base;
  }
  return result;
}

NUMBER binary(NUMBER x, NUMBER y) {
  switch (kFunction) {
    case kAdd:
      return x + y;
    case kSub:
      return x - y;
    case kMul:
      return x * y;
    case kDiv:
      return divided(x, y);
    case kMax:
      return larger_of(x, y);
    case kMin:
      return smaller_of(x, y);
    case kModFloor:
    case kModTrunc: {
      if (y == NUMBER(0)) return NUMBER(0);
      const NUMBER r = x - divided(x, y) * y;
      return kFunction == kModFloor && r != NUMBER(0) && (r < NUMBER(0)) != (y < NUMBER(0)) ? r + y : r;
    }
    case kAnd:
      return x & y;
    case kOr:
      return x | y;
    case kXor:
      return x ^ y;
    case kShiftLeft:
    case kShiftRight:
      return shifted(x, y);
    case kPow:
      return power(x, y);
    default:
      return x < NUMBER(0) ? x * y : x;
  }
}

NUMBER unary(NUMBER x) {
  switch (kFunction) {
    case kAbs:
      return magnitude(x);
    case kNeg:
      return -x;
    case kSign:
      return x > NUMBER(0) ? NUMBER(1) : x < NUMBER(0) ? NUMBER(-1) : x;
    case kInvert:
      return ~x;
    case kRelu:
      return x < NUMBER(0) ? NUMBER(0) : x;
    default:
      return x;
  }
}

#endif

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(1));
  const NUMBER x = NUMBER(Elements(ADDRESS(2)).at[offset_of(table, 0, 0, item)]);
  NUMBER result;
  if (kFunction >= kAbs)
    result = unary(x);
  else
    result = binary(x, NUMBER(Elements(ADDRESS(3)).at[offset_of(table, 0, 1, item)]));
  Elements(ADDRESS(0)).at[item] = ELEMENT(result);
}
