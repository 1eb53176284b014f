#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace fastort::kernels {

// What happens to a product before it is written: C = activation(alpha * A * B + bias + residual).
struct Epilogue {
  const float* bias = nullptr;  // one for each column, or for each row where `bias_per_row`
  bool bias_per_row = false;
  const float* residual = nullptr;  // as large as C, and apart from it
  int64_t residual_stride = 0;      // between rows of the residual
  ActivationSpec activation;
};

}  // namespace fastort::kernels
