#pragma once

#include "kernels/elementwise/unary.h"
#include "ops/elementwise/operands.h"

namespace fastort::elementwise {

// A kernel that applies `op` to input 0.
std::unique_ptr<Kernel> prepare_unary(const OpContext& context, kernels::UnaryOp op, kernels::UnaryParams params = {});

// The candidates of an operator that is a function without attributes.
template <kernels::UnaryOp op>
inline constexpr Candidate kUnary[] = {
    {"elementwise", refuse_one, [](const OpContext& context) { return prepare_unary(context, op); }, kAnyLayout}};

}  // namespace fastort::elementwise
