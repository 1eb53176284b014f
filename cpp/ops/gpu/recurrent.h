#pragma once

#include "kernels/rnn/rnn.h"
#include "ops/gpu.h"

namespace fastort::gpu {

// The inputs and outputs of ONNX's recurrent layers, by their places.
struct Recurrent {
  GpuOperand x, w, r, b, lengths, initial_h, initial_c, peepholes;
  GpuOperand y, y_h, y_c;
};
// One product for all steps' inputs, then a dispatch or two for each step (shaders/rnn.comp).
Refusal add_recurrent(GpuWork& work, const kernels::RnnProblem& problem, const Recurrent& operands,
                      const GpuTraits& traits);

}  // namespace fastort::gpu
