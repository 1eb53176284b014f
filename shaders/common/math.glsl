// Functions of float32 to about 2 ulp: the specification of Vulkan allows more than that to its own. The polynomials
// are those of cpp/kernels/elementwise/math-inl.h. Infinities and NaN give what the C library gives.
#ifndef COMMON_MATH
#define COMMON_MATH

#define INFINITY uintBitsToFloat(0x7f800000u)
#define NAN uintBitsToFloat(0x7fc00000u)

// 2^n for n in [-126, 127].
float power_of_two(int n) { return intBitsToFloat((n + 127) << 23); }

// NaN stays NaN.
float at_least(float x, float low) { return x < low ? low : x; }
float at_most(float x, float high) { return x > high ? high : x; }
float clamped(float x, float low, float high) { return at_most(at_least(x, low), high); }
float relu(float x) { return x < 0.0 ? 0.0 : x; }
float larger(float x, float y) { return x > y || isnan(x) ? x : y; }
float smaller(float x, float y) { return x < y || isnan(x) ? x : y; }
float with_sign(float magnitude, float x) {
  return uintBitsToFloat((floatBitsToUint(magnitude) & 0x7fffffffu) | (floatBitsToUint(x) & 0x80000000u));
}
float sign_of(float x) { return abs(x) > 0.0 ? with_sign(1.0, x) : x; }

// e^r - 1 for x = n ln 2 + r, |r| <= ln(2)/2.
float reduced_exp(float x, out int n) {
  const float rounded = roundEven(x * 1.44269504);
  n = int(rounded);
  precise float r = fma(rounded, -0.693359375, x);
  r = fma(rounded, 2.12194440e-4, r);
  float p = 0.001381390805;
  p = fma(p, r, 0.008369063298);
  p = fma(p, r, 0.04166842141);
  p = fma(p, r, 0.1666651777);
  p = fma(p, r, 0.4999999325);
  return fma(r * r, p, r);
}

float exponential(float x) {
  if (isnan(x)) return x;
  int n;
  const float e = reduced_exp(clamp(x, -104.0, 89.0), n);
  const int half_n = n >> 1;
  return (e + 1.0) * power_of_two(half_n) * power_of_two(n - half_n);
}

// e^x - 1; x above 88 gives the value at 88.
float exponential_minus_1(float x) {
  if (isnan(x)) return x;
  int n;
  const float e = reduced_exp(clamp(x, -20.0, 88.0), n);
  const float s = power_of_two(n);
  return fma(e, s, s - 1.0);
}

float logarithm(float x) {
  const bool tiny = x < 1.17549435e-38;
  const int bits = floatBitsToInt(tiny ? x * 8388608.0 : x);
  const int e = (bits - 0x3f3504f3) >> 23;
  const float f = intBitsToFloat(bits - (e << 23)) - 1.0;
  float ef = float(e) - (tiny ? 23.0 : 0.0);
  float p = 0.06747242238;
  p = fma(p, f, -0.1167591306);
  p = fma(p, f, 0.1188804003);
  p = fma(p, f, -0.1240553837);
  p = fma(p, f, 0.1421956144);
  p = fma(p, f, -0.1666799892);
  p = fma(p, f, 0.2000211837);
  p = fma(p, f, -0.2500000954);
  p = fma(p, f, 0.3333331261);
  const float f2 = f * f;
  float y = f2 * f * p;
  y = fma(ef, -2.12194440e-4, y);
  y = fma(-0.5, f2, y);
  y = fma(ef, 0.693359375, f + y);
  if (isinf(x) && x > 0.0) return x;
  if (x == 0.0) return -INFINITY;
  return x >= 0.0 ? y : NAN;
}

// log(1 + x) for x >= 0.
float logarithm_plus_1(float x) {
  precise const float u = 1.0 + x;
  precise const float lost = x - (u - 1.0);
  return logarithm(u) + lost / u;
}

float softplus(float x) { return relu(x) + logarithm_plus_1(exponential(-abs(x))); }

float sigmoid(float x) {
  const float e = exponential(-abs(x));
  return (x < 0.0 ? e : 1.0) / (e + 1.0);
}

float hyperbolic_tangent(float x) {
  if (isnan(x)) return x;
  const float a = min(abs(x), 10.0);
  const float t = exponential_minus_1(2.0 * a);
  return with_sign(t / (t + 2.0), x);
}

// erfc(a) for a >= 0.9.
float erfc_tail(float a) {
  float q = 2.091501986e-5;
  q = fma(q, a, -0.0004323653286);
  q = fma(q, a, 0.004160823456);
  q = fma(q, a, -0.02509226306);
  q = fma(q, a, 0.1082377802);
  q = fma(q, a, 0.6333856152);
  q = fma(q, a, 1.129495657);
  q = fma(q, a, -0.0001706527817);
  return a > 11.0 ? 0.0 : exponential(-q);
}

// erf(x) for |x| <= 0.92.
float erf_centre(float x) {
  const float x2 = x * x;
  float p = -0.0005999392815;
  p = fma(p, x2, 0.004994827354);
  p = fma(p, x2, -0.02676771752);
  p = fma(p, x2, 0.1128184587);
  p = fma(p, x2, -0.3761249645);
  p = fma(p, x2, 1.12837915);
  return x * p;
}

float error_function(float x) {
  const float a = abs(x);
  if (a < 0.92) return erf_centre(x);
  return isnan(x) ? x : with_sign(1.0 - erfc_tail(a), x);
}

float gelu(float x) {
  const float z = x * 0.70710678;
  const float a = abs(z);
  if (a < 0.92) return 0.5 * x * (1.0 + erf_centre(z));
  const float tail = erfc_tail(a);
  return 0.5 * x * (x < 0.0 ? tail : 2.0 - tail);
}

float gelu_tanh(float x) { return x * sigmoid(x * fma(x * x, 0.0713548162726, 1.5957691216)); }

float mish(float x) {
  const float e = exponential(at_most(x, 20.0));
  const float n = e * (e + 2.0);
  return x * (n / (n + 2.0));
}

// sin(x + quarter_turns pi/2); far from zero the device's own functions serve.
float sine_shifted(float x, int quarter_turns) {
  if (!(abs(x) <= 8192.0)) return isnan(x) || isinf(x) ? NAN : quarter_turns == 0 ? sin(x) : cos(x);
  const float turns = roundEven(x * 0.636619772);
  precise float r = fma(-turns, 1.5703125, x);
  r = fma(-turns, 4.83751296997e-4, r);
  r = fma(-turns, 7.549790126e-8, r);
  const float r2 = r * r;
  float s = fma(2.717564496e-6, r2, -0.0001983925664);
  s = fma(s, r2, 0.008333329144);
  s = fma(s, r2, -0.1666666664);
  s = fma(r * r2, s, r);
  float c = fma(-2.7203307e-7, r2, 2.479943645e-5);
  c = fma(c, r2, -0.001388888344);
  c = fma(c, r2, 0.04166666662);
  c = fma(r2 * r2, c, fma(-0.5, r2, 1.0));
  const int quadrant = int(turns) + quarter_turns;
  const float y = (quadrant & 1) == 1 ? c : s;
  return (quadrant & 2) == 2 ? -y : y;
}

// asin(x) for |x| <= 0.5.
float arcsine_centre(float x) {
  const float z = x * x;
  float p = 0.0338144736;
  p = fma(p, z, 0.01707185975);
  p = fma(p, z, 0.0311176567);
  p = fma(p, z, 0.04459786808);
  p = fma(p, z, 0.07500099496);
  p = fma(p, z, 0.1666666631);
  return fma(x * z, p, x);
}

const float kHalfPi = 1.57079633;

float arcsine(float x) {
  const float a = abs(x);
  if (!(a <= 1.0)) return NAN;
  if (a <= 0.5) return arcsine_centre(x);
  return with_sign(kHalfPi - 2.0 * arcsine_centre(sqrt(0.5 * (1.0 - a))), x);
}

float arccosine(float x) {
  if (!(abs(x) <= 1.0)) return NAN;
  if (abs(x) <= 0.5) return kHalfPi - arcsine_centre(x);
  const float y = 2.0 * arcsine_centre(sqrt(0.5 * (1.0 - abs(x))));
  return x > 0.0 ? y : 2.0 * kHalfPi - y;
}

float arctangent(float x) {
  if (isnan(x)) return x;
  const float a = abs(x);
  const float t = a > 1.0 ? 1.0 / a : a, z = t * t;
  float p = 0.001526146419;
  p = fma(p, z, -0.009314544596);
  p = fma(p, z, 0.02662652626);
  p = fma(p, z, -0.04928902874);
  p = fma(p, z, 0.07051506689);
  p = fma(p, z, -0.08938702967);
  p = fma(p, z, 0.1108961991);
  p = fma(p, z, -0.142841384);
  p = fma(p, z, 0.1999995444);
  p = fma(p, z, -0.3333333311);
  const float y = fma(t * z, p, t);
  return with_sign(a > 1.0 ? kHalfPi - y : y, x);
}

float hyperbolic_arccosine(float x) {
  if (!(x >= 1.0)) return NAN;
  if (x > 1e9) return logarithm(x) + 0.693147181;
  const float t = x - 1.0;
  return logarithm_plus_1(t + sqrt(t * (t + 2.0)));
}

// base^exponent as the C library has it.
float power(float x, float y) {
  if (y == 0.0 || x == 1.0) return 1.0;
  if (isnan(x) || isnan(y)) return NAN;
  if (y == 1.0) return x;
  if (y == 2.0) return x * x;
  if (y == 3.0) return x * x * x;
  if (y == 0.5 && x >= 0.0) return sqrt(x);
  if (y == -1.0) return 1.0 / x;
  const float a = abs(x);
  const bool whole = floor(y) == y;
  const bool odd = whole && abs(y) < 16777216.0 && (int(y) & 1) == 1;
  float result;
  if (isinf(y)) {
    result = a == 1.0 ? 1.0 : (a > 1.0) == (y > 0.0) ? INFINITY : 0.0;
  } else if (a == 0.0 || isinf(a)) {
    result = (a == 0.0) == (y > 0.0) ? 0.0 : INFINITY;
  } else {
    // The product's rounding error is carried over to the exponential.
    const float l = logarithm(a);
    precise const float product = y * l;
    precise const float error = fma(y, l, -product);
    result = exponential(product);
    if (!isinf(result) && result != 0.0) result = fma(result, error, result);
  }
  if (x < 0.0 && !isinf(x) && !isinf(y) && !whole) return NAN;
  return odd && floatBitsToInt(x) < 0 ? -result : result;
}

// The remainder of a division that truncates, exact as the C library's.
float remainder_trunc(float x, float y) {
  float a = abs(x);
  const float b = abs(y);
  if (isnan(x) || isnan(y) || isinf(x) || b == 0.0) return NAN;
  if (isinf(b)) return x;
  int exponent_a, exponent_b;
  frexp(b, exponent_b);
  // A piece of the quotient that float32 holds at a time.
  for (int piece = 0; piece < 16 && a >= b; ++piece) {
    frexp(a, exponent_a);
    const float t = ldexp(b, max(exponent_a - exponent_b - 22, 0));
    precise const float q = floor(a / t);
    precise float r = fma(-q, t, a);
    if (r < 0.0) r += t;
    if (r >= t) r -= t;
    a = r;
  }
  return with_sign(a, x);
}

// The remainder with the sign of y.
float remainder_floor(float x, float y) {
  const float r = remainder_trunc(x, y);
  if (r == 0.0) return with_sign(r, y);
  return (r < 0.0) != (y < 0.0) ? r + y : r;
}

#endif
