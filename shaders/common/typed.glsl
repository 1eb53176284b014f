// The element type of a shader that is compiled once for each: a variant defines T_I8, T_F64 and so on, or, where
// elements are moved and not looked into, T_PAIR and T_QUAD for those of 8 and 16 bytes. ELEMENT is the type in memory,
// NUMBER the one of arithmetic, in which narrow integers wrap around when they are stored.
#ifndef COMMON_TYPED
#define COMMON_TYPED

#if defined(T_I8) || defined(T_U8)
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#elif defined(T_I16) || defined(T_U16)
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#elif defined(T_I64) || defined(T_U64)
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif

#if defined(T_I8)
#define ELEMENT int8_t
#define NUMBER int
#define BYTES 1
#define LOWEST -128
#define HIGHEST 127
#elif defined(T_U8)
#define ELEMENT uint8_t
#define NUMBER uint
#define BYTES 1
#define LOWEST 0u
#define HIGHEST 255u
#elif defined(T_I16)
#define ELEMENT int16_t
#define NUMBER int
#define BYTES 2
#define LOWEST -32768
#define HIGHEST 32767
#elif defined(T_U16)
#define ELEMENT uint16_t
#define NUMBER uint
#define BYTES 2
#define LOWEST 0u
#define HIGHEST 65535u
#elif defined(T_I32)
#define ELEMENT int
#define NUMBER int
#define BYTES 4
#define LOWEST int(0x80000000u)
#define HIGHEST 0x7fffffff
#elif defined(T_U32)
#define ELEMENT uint
#define NUMBER uint
#define BYTES 4
#define LOWEST 0u
#define HIGHEST 0xffffffffu
#elif defined(T_I64)
#define ELEMENT int64_t
#define NUMBER int64_t
#define BYTES 8
#define LOWEST (int64_t(1) << 63)
#define HIGHEST ~(int64_t(1) << 63)
#elif defined(T_U64)
#define ELEMENT uint64_t
#define NUMBER uint64_t
#define BYTES 8
#define LOWEST uint64_t(0)
#define HIGHEST ~uint64_t(0)
#elif defined(T_F32)
#define ELEMENT float
#define NUMBER float
#define BYTES 4
#define LOWEST -uintBitsToFloat(0x7f800000u)
#define HIGHEST uintBitsToFloat(0x7f800000u)
#elif defined(T_F64)
#define ELEMENT double
#define NUMBER double
#define BYTES 8
#define LOWEST -double(uintBitsToFloat(0x7f800000u))
#define HIGHEST double(uintBitsToFloat(0x7f800000u))
#elif defined(T_PAIR)
#define ELEMENT uvec2
#define BYTES 8
#elif defined(T_QUAD)
#define ELEMENT uvec4
#define BYTES 16
#endif

#if defined(T_F32) || defined(T_F64)
#define FLOATING
#elif defined(T_I8) || defined(T_I16) || defined(T_I32) || defined(T_I64)
#define SIGNED
#endif

layout(buffer_reference, scalar, buffer_reference_align = BYTES) buffer Elements {
  ELEMENT at[];
};

#ifdef NUMBER

// NaN wins.
NUMBER larger_of(NUMBER x, NUMBER y) {
#ifdef FLOATING
  if (isnan(x)) return x;
#endif
  return x > y ? x : y;
}
NUMBER smaller_of(NUMBER x, NUMBER y) {
#ifdef FLOATING
  if (isnan(x)) return x;
#endif
  return x < y ? x : y;
}
NUMBER magnitude(NUMBER x) {
#if defined(FLOATING)
  return abs(x);
#elif defined(SIGNED)
  return x < NUMBER(0) ? -x : x;
#else
  return x;
#endif
}
bool is_nan(NUMBER x) {
#ifdef FLOATING
  return isnan(x);
#else
  return false;
#endif
}

#endif
#endif
