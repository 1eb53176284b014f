#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace fastort::kernels {

struct Complex {
  double re = 0, im = 0;
};

// The discrete Fourier transform of one length, made ready: mixed radix where the length has small factors only, else
// Bluestein's convolution. Immutable.
class Fft {
 public:
  explicit Fft(int64_t n);
  int64_t size() const noexcept { return n_; }
  // Elements that `data` and `work` of `run` have room for, each.
  int64_t room() const noexcept { return convolution_ ? convolution_->n_ : n_; }
  // Transforms the first n elements of `data` (forward, not scaled) and returns the one of the two arrays where the
  // result stands. Both are overwritten.
  Complex* run(Complex* data, Complex* work) const;

 private:
  Complex* run_radices(Complex* data, Complex* work) const;
  Complex* run_convolution(Complex* data, Complex* work) const;

  int64_t n_;
  std::vector<int> radices_;
  std::vector<Complex> twiddles_;  // exp(-2 pi i k / n)
  std::unique_ptr<const Fft> convolution_;
  std::vector<Complex> chirp_;   // exp(-pi i k^2 / n)
  std::vector<Complex> kernel_;  // transform of the conjugate chirp over its length
};

}  // namespace fastort::kernels
