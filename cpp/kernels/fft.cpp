#include "kernels/fft.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace fastort::kernels {
namespace {

Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
Complex operator*(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

// exp(-pi i numerator / denominator)
Complex unit(int64_t numerator, int64_t denominator) {
  const double angle = std::numbers::pi * static_cast<double>(numerator) / static_cast<double>(denominator);
  return {std::cos(angle), -std::sin(angle)};
}

// The factors of n, or nothing where one is too large for a radix.
std::vector<int> radices_of(int64_t n) {
  std::vector<int> radices;
  for (const int radix : {4, 2, 3, 5, 7, 11, 13})
    for (; n % radix == 0; n /= radix) radices.push_back(radix);
  if (n != 1) radices.clear();
  return radices;
}

// One pass of Stockham's algorithm over transforms of length radix * m that lie `stride` apart: `root` are the powers
// of the whole transform's root of unity.
void pass(const Complex* src, Complex* dst, int radix, int64_t m, int64_t stride, const Complex* root) {
  const int64_t n = radix * m * stride;
  for (int64_t p = 0; p < m; ++p) {
    const Complex* from = src + stride * p;
    Complex* to = dst + stride * radix * p;
    if (radix == 2) {
      const Complex w = root[p * stride];
      for (int64_t q = 0; q < stride; ++q) {
        const Complex a = from[q], b = from[q + stride * m];
        to[q] = a + b;
        to[q + stride] = (a - b) * w;
      }
      continue;
    }
    if (radix == 4) {
      const Complex w1 = root[p * stride], w2 = root[2 * p * stride], w3 = root[3 * p * stride];
      for (int64_t q = 0; q < stride; ++q) {
        const Complex a = from[q], b = from[q + stride * m], c = from[q + 2 * stride * m], d = from[q + 3 * stride * m];
        const Complex ac = a + c, bd = b + d, a_c = a - c, b_d = b - d, turned{b_d.im, -b_d.re};
        to[q] = ac + bd;
        to[q + stride] = (a_c + turned) * w1;
        to[q + 2 * stride] = (ac - bd) * w2;
        to[q + 3 * stride] = (a_c - turned) * w3;
      }
      continue;
    }
    for (int64_t q = 0; q < stride; ++q) {
      for (int j = 0; j < radix; ++j) {
        Complex sum = from[q];
        for (int k = 1; k < radix; ++k) sum = sum + from[q + k * stride * m] * root[j * k % radix * (n / radix)];
        to[q + j * stride] = sum * root[j * p * stride];
      }
    }
  }
}

}  // namespace

Fft::Fft(int64_t n) : n_(n), radices_(radices_of(n)) {
  if (!radices_.empty() || n == 1) {
    twiddles_.reserve(static_cast<size_t>(n));
    for (int64_t k = 0; k < n; ++k) twiddles_.push_back(unit(2 * k, n));
    return;
  }
  int64_t length = 1;
  while (length < 2 * n - 1) length *= 2;
  convolution_ = std::make_unique<const Fft>(length);
  chirp_.reserve(static_cast<size_t>(n));
  int64_t square = 0;  // k^2 modulo 2n
  for (int64_t k = 0; k < n; ++k) {
    chirp_.push_back(unit(square, n));
    square = (square + 2 * k + 1) % (2 * n);
  }
  kernel_.resize(static_cast<size_t>(length));
  for (int64_t k = 0; k < n; ++k) {
    const Complex c = chirp_[static_cast<size_t>(k)];
    kernel_[static_cast<size_t>(k)] = {c.re, -c.im};
    if (k > 0) kernel_[static_cast<size_t>(length - k)] = {c.re, -c.im};
  }
  std::vector<Complex> work(static_cast<size_t>(length));
  if (convolution_->run(kernel_.data(), work.data()) != kernel_.data()) kernel_ = std::move(work);
}

Complex* Fft::run(Complex* data, Complex* work) const {
  return convolution_ ? run_convolution(data, work) : run_radices(data, work);
}

Complex* Fft::run_radices(Complex* data, Complex* work) const {
  int64_t length = n_, stride = 1;
  for (const int radix : radices_) {
    length /= radix;
    pass(data, work, radix, length, stride, twiddles_.data());
    stride *= radix;
    std::swap(data, work);
  }
  return data;
}

Complex* Fft::run_convolution(Complex* data, Complex* work) const {
  const int64_t length = convolution_->n_;
  for (int64_t k = 0; k < n_; ++k) data[k] = data[k] * chirp_[static_cast<size_t>(k)];
  for (int64_t k = n_; k < length; ++k) data[k] = {};
  Complex* transformed = convolution_->run(data, work);
  // The way back is a forward transform with real and imaginary parts exchanged on both sides.
  for (int64_t k = 0; k < length; ++k) {
    const Complex c = transformed[k] * kernel_[static_cast<size_t>(k)];
    transformed[k] = {c.im, c.re};
  }
  Complex* result = convolution_->run(transformed, transformed == data ? work : data);
  const double scale = 1 / static_cast<double>(length);
  for (int64_t k = 0; k < n_; ++k) {
    const Complex c{result[k].im * scale, result[k].re * scale};
    result[k] = c * chirp_[static_cast<size_t>(k)];
  }
  return result;
}

}  // namespace fastort::kernels
