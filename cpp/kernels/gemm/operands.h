#pragma once

#include <cstdint>

#include "kernels/gemm/epilogue.h"

namespace fastort::kernels {

// The memory of one product C = epilogue(alpha * A * B) whose B is packed in panels.
struct GemmOperands {
  const float* a = nullptr;
  int64_t a_stride = 0;  // between rows
  const float* b = nullptr;
  float* c = nullptr;
  int64_t c_stride = 0;  // between rows
  float alpha = 1;
  Epilogue epilogue;
};

}  // namespace fastort::kernels
