#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"
#include "tensor/shape.h"

namespace fastort::kernels {

// A float32 convolution by oneDNN for fixed sizes, layouts and number of threads.
class DnnlConv {
 public:
  // Whether NaN stays NaN in oneDNN's form of an activation, instead of becoming one of its bounds.
  static bool keeps_nan(const ActivationSpec& activation);
  // Without a value where oneDNN has no fast implementation, or loses NaN; `refusal` then says why.
  static std::unique_ptr<DnnlConv> create(const ConvShape& shape, Layout src, Layout dst, const ConvEpilogue& epilogue,
                                          int threads, std::string* refusal);
  ~DnnlConv();

  // oneDNN's name of the implementation: "jit_1x1:avx2".
  const std::string& implementation() const;
  // Room for oneDNN's scratchpad, for all calls.
  size_t scratchpad_bytes() const;

  // The form in which the implementation wants its weights.
  std::string weights_format() const;
  size_t weights_bytes() const;
  // From ONNX's [M,C/groups,...].
  void pack_weights(const float* weights, std::byte* dst, const Parallel& parallel) const;

  // Makes the primitive itself (compiles code); before the first `run`.
  void compile();

  // oneDNN's memory objects of one run in flight.
  class Memory {
   public:
    virtual ~Memory() = default;
  };
  std::unique_ptr<Memory> make_memory() const;

  // `weights` are packed; `bias` and `residual` are there as the epilogue said.
  void run(Memory& memory, const float* src, const std::byte* weights, const float* bias, const float* residual,
           float* dst, std::byte* scratchpad, const Parallel& parallel) const;

 private:
  struct Impl;
  class Found;
  static std::unique_ptr<DnnlConv> search(const ConvShape& shape, Layout src, Layout dst, const ConvEpilogue& epilogue,
                                          int threads, std::string* refusal);
  explicit DnnlConv(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastort::kernels
