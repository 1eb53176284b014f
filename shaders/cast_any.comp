// Conversions between any two real types, numbered as ONNX does. Devices need 8- and 16-bit storage, 64-bit integers and
// double for it; cast.comp serves the commonest types everywhere.
// operands: result, source, table (what the 256 codes of a type of at most a byte stand for)
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#include "common/base.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 1) buffer Bytes {
  uint8_t at[];
};
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Shorts {
  uint16_t at[];
};
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Longs {
  int64_t at[];
};
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Doubles {
  double at[];
};

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kFrom = 1;
layout(constant_id = 1) const uint kTo = 1;
// A floating-point kind of at most 16 bits that is written: bits of the exponent and the mantissa, the bias, the largest
// finite number's bits, those of NaN (0 for none), then bit 0: infinity follows the largest number, 1: zero has a sign,
// 2: what is out of range becomes the largest number.
PUSH(uint count; int exponent_bits; int mantissa_bits; int bias; uint most; uint nan; uint flags;);

const uint kFloat = 1, kUInt8 = 2, kInt8 = 3, kUInt16 = 4, kInt16 = 5, kInt32 = 6, kInt64 = 7, kBool = 9, kFloat16 = 10,
           kDouble = 11, kUInt32 = 12, kUInt64 = 13, kBFloat16 = 16, kUInt4 = 21, kInt4 = 22, kUInt2 = 25, kInt2 = 26;

bool is_whole(uint type) {
  return (type >= kUInt8 && type <= kInt64) || type == kBool || type == kUInt32 || type == kUInt64;
}

float half_value(uint bits) {
  const uint sign = (bits & 0x8000u) << 16, exponent = (bits >> 10) & 31, fraction = bits & 0x3ff;
  if (exponent == 31) return uintBitsToFloat(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return uintBitsToFloat(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = float(fraction) * 5.9604644775390625e-8;
  return sign != 0 ? -magnitude : magnitude;
}

int64_t read_whole(uint i) {
  switch (kFrom) {
    case kUInt8:
      return int64_t(uint(Bytes(ADDRESS(1)).at[i]));
    case kInt8:
      return int64_t(int(int8_t(Bytes(ADDRESS(1)).at[i])));
    case kUInt16:
      return int64_t(uint(Shorts(ADDRESS(1)).at[i]));
    case kInt16:
      return int64_t(int(int16_t(Shorts(ADDRESS(1)).at[i])));
    case kInt32:
      return int64_t(Integers(ADDRESS(1)).at[i]);
    case kUInt32:
      return int64_t(Words(ADDRESS(1)).at[i]);
    case kBool:
      return int64_t(Bytes(ADDRESS(1)).at[i] != uint8_t(0) ? 1 : 0);
    default:
      return Longs(ADDRESS(1)).at[i];
  }
}

double read_real(uint i) {
  switch (kFrom) {
    case kFloat:
      return double(Floats(ADDRESS(1)).at[i]);
    case kDouble:
      return Doubles(ADDRESS(1)).at[i];
    case kFloat16:
      return double(half_value(uint(Shorts(ADDRESS(1)).at[i])));
    case kBFloat16:
      return double(uintBitsToFloat(uint(Shorts(ADDRESS(1)).at[i]) << 16));
    default:
      return double(Floats(ADDRESS(2)).at[uint(Bytes(ADDRESS(1)).at[i])]);
  }
}

// Cut off towards zero; what does not fit becomes the least number of 32 or 64 bits, as x86 has it.
int64_t whole_of_real(double x) {
  const bool wide = kTo == kInt64 || kTo == kUInt64 || kTo == kUInt32;
  if (!wide) return x >= -2147483648.0lf && x < 2147483648.0lf ? int64_t(int(x)) : int64_t(int(0x80000000u));
  if (x >= -9223372036854775808.0lf && x < 9223372036854775808.0lf) return int64_t(x);
  if (kTo == kUInt64 && x >= 9223372036854775808.0lf && x < 18446744073709551616.0lf) return int64_t(uint64_t(x));
  return int64_t(1) << 63;
}

// A second rounding to fewer bits then gives what one rounding would.
float rounded_to_odd(double x) {
  const float y = float(x);
  if (double(y) == x || isinf(y) || isnan(y)) return y;
  const uint bits = floatBitsToUint(y);
  if ((bits & 1) == 1) return y;
  return uintBitsToFloat(abs(double(y)) > abs(x) ? bits - 1 : bits + 1);
}

uint out_of_range(uint sign) {
  if ((push.flags & 4) != 0 || push.nan == 0) return push.most | sign;
  if ((push.flags & 1) != 0) return (push.most + 1) | sign;
  return (push.flags & 2) != 0 ? push.nan | sign : push.nan;
}

uint code_of(float value) {
  const uint bits = floatBitsToUint(value), sign_bit = 1u << (push.exponent_bits + push.mantissa_bits);
  const uint sign = bits >> 31 != 0 ? sign_bit : 0;
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    if (push.nan == 0) return sign_bit;
    return (push.flags & 2) != 0 ? push.nan | sign : push.nan;
  }
  if ((bits & 0x7fffffffu) == 0x7f800000u) return out_of_range(sign);
  if (kTo == kBFloat16) {
    const uint rounded = (bits & 0x7fffffffu) + 0x7fffu + ((bits >> 16) & 1);
    return rounded >> 16 | sign;
  }
  // The numbers of one binade are the multiples of 2^(exponent - mantissa bits).
  const int lowest = 1 - push.bias, exponent = max(int((bits >> 23) & 0xff) - 127, lowest);
  const float steps = roundEven(ldexp(abs(value), push.mantissa_bits - exponent));
  const uint code = uint(steps) + (uint(exponent - lowest) << push.mantissa_bits);
  if (code > push.most) return out_of_range(sign);
  return code == 0 && (push.flags & 2) == 0 ? 0 : code | sign;
}

// The low bits of an integer that is held one to a byte, the sign repeated above them.
uint cut(uint value, uint bits, bool is_signed) {
  const uint mask = (1u << bits) - 1, sign = is_signed ? 1u << (bits - 1) : 0;
  return ((value & mask) ^ sign) - sign;
}

void main() {
  const uint i = item_number();
  if (i >= push.count) return;
  int64_t whole = 0;
  double real = 0.0lf;
  if (is_whole(kFrom)) {
    whole = read_whole(i);
  } else {
    real = read_real(i);
  }
  if (kTo == kFloat || kTo == kDouble) {
    if (is_whole(kFrom)) real = kFrom == kUInt64 ? double(uint64_t(whole)) : double(whole);
    if (kTo == kDouble) {
      Doubles(ADDRESS(0)).at[i] = real;
    } else if (is_whole(kFrom)) {
      Floats(ADDRESS(0)).at[i] = kFrom == kUInt64 ? float(uint64_t(whole)) : float(whole);
    } else {
      Floats(ADDRESS(0)).at[i] = float(real);
    }
    return;
  }
  if (kTo == kBool) {
    Bytes(ADDRESS(0)).at[i] = uint8_t((is_whole(kFrom) ? whole != 0 : !(real == 0.0lf)) ? 1 : 0);
    return;
  }
  const bool small = kTo == kUInt4 || kTo == kInt4 || kTo == kUInt2 || kTo == kInt2;
  if (is_whole(kTo) || small) {
    if (!is_whole(kFrom)) whole = whole_of_real(real);
    if (small) {
      const uint bits = kTo == kUInt4 || kTo == kInt4 ? 4 : 2;
      Bytes(ADDRESS(0)).at[i] = uint8_t(cut(uint(whole), bits, kTo == kInt4 || kTo == kInt2));
    } else if (kTo == kUInt8 || kTo == kInt8) {
      Bytes(ADDRESS(0)).at[i] = uint8_t(whole);
    } else if (kTo == kUInt16 || kTo == kInt16) {
      Shorts(ADDRESS(0)).at[i] = uint16_t(whole);
    } else if (kTo == kInt32 || kTo == kUInt32) {
      Words(ADDRESS(0)).at[i] = uint(whole);
    } else {
      Longs(ADDRESS(0)).at[i] = whole;
    }
    return;
  }
  if (is_whole(kFrom)) real = kFrom == kUInt64 ? double(uint64_t(whole)) : double(whole);
  const uint code = code_of(rounded_to_odd(real));
  if (kTo == kFloat16 || kTo == kBFloat16)
    Shorts(ADDRESS(0)).at[i] = uint16_t(code);
  else
    Bytes(ADDRESS(0)).at[i] = uint8_t(code);
}
