#pragma once

#include "kernels/elementwise/unary.h"

namespace fastort::kernels {

// The parts of unary_f32: nullptr for a function of another part.
UnaryFn simple_unary_f32(UnaryOp op);
UnaryFn exp_unary_f32(UnaryOp op);
UnaryFn trigonometric_unary_f32(UnaryOp op);
// Functions computed one element at a time by <cmath>, and all functions of the other types.
UnaryFn scalar_unary(UnaryOp op, DataType type);

}  // namespace fastort::kernels
