#pragma once

#include <optional>

#include "kernels/conv/conv_shape.h"
#include "ops/core/window.h"
#include "ops/gpu.h"

// The parts of Conv and FusedConv: one file for each way to compute them.
namespace fastort::conv {

// Positions of the inputs and the outputs in KernelArgs.
// The gate is an input of fastort::GatedConv.
enum Input { kX = 0, kW = 1, kB = 2, kZ = 3, kGate = 4 };

// A node with concrete sizes, as the kernels want it.
struct Problem {
  kernels::ConvShape shape;
  kernels::ConvEpilogue epilogue;
};

// The sizes of the output of any convolution whose input, weights and bias are the inputs `x`, `w` and `b`; nothing
// where not even its rank is known. Throws InvalidGraph where they do not fit each other.
std::optional<Shape> infer_output(const InferContext& context, int x, int w, int b);

// Throws NotImplemented for more than three spatial dimensions.
void refuse_many_dims(int rank);

// A convolution with its sizes along the spatial axes and the pads of `window`, all concrete.
kernels::ConvShape read_shape(const Attributes& attributes, const Window& window, const Shape& x, const Shape& y);

// The attributes of any convolution with concrete sizes.
kernels::ConvShape read_shape(const Attributes& attributes, const Shape& x, const Shape& w, const Shape& y);

// Throws InvalidGraph, or NotImplemented for more than three spatial dimensions.
Problem read_problem(const OpContext& context);

// The fused activation of a node with FusedConv's attributes.
ActivationSpec read_activation(const Attributes& attributes);

// Sizes that all fast ways refuse: none at all, or pads that crop.
Refusal refuse_odd_sizes(const kernels::ConvShape& shape);

// Layouts in the context that no variant offers: a constant is plain whatever the variant says.
Refusal refuse_layouts(const OpContext& context);

// How much faster than with AVX2, for which rates are given, a thread multiplies here.
double vector_rate();

// Estimated nanoseconds of an algorithm that does `flops` at `gflops` a thread, and moves inputs and outputs once.
double estimate(const OpContext& context, const kernels::ConvShape& shape, double flops, double gflops);

// What a 1x1 convolution in blocks of 16 channels costs by AVX-512, nanoseconds of one thread for each: operation, byte
// of the input where other threads may have written it, byte of the output and of the weights, which every thread
// reads, and the start.
struct PointwiseCosts {
  double operation, input, output, weights, start;
};
// Empty where these do not tell: for other instructions and layouts, and for maps of few pixels.
std::optional<double> estimate_pointwise(const OpContext& context, const kernels::ConvShape& shape,
                                         const PointwiseCosts& costs);

// Matrix times vector, for maps of one pixel.
Refusal accepts_vector(const OpContext& context);
double cost_vector(const OpContext& context);
std::unique_ptr<Kernel> prepare_vector(const OpContext& context);

// Winograd F(4x4,3x3) on blocked channels, and F(2x2,3x3) for small maps.
Refusal accepts_winograd(const OpContext& context);
double cost_winograd(const OpContext& context);
double cost_winograd_small(const OpContext& context);
std::unique_ptr<Kernel> prepare_winograd(const OpContext& context);
std::unique_ptr<Kernel> prepare_winograd_small(const OpContext& context);

// Intel's matrix unit on blocked channels, with a gate or without (kernels/conv/amx_conv.h).
Refusal accepts_amx(const OpContext& context);
double cost_amx(const OpContext& context);
std::unique_ptr<Kernel> prepare_amx(const OpContext& context);

// Our own 1x1 and depthwise kernels on blocked channels.
Refusal accepts_pointwise_blocks(const OpContext& context);
double cost_pointwise_blocks(const OpContext& context);
std::unique_ptr<Kernel> prepare_pointwise_blocks(const OpContext& context);
Refusal refuse_depthwise_blocks(const kernels::ConvShape& shape);
Refusal accepts_depthwise_blocks(const OpContext& context);
double cost_depthwise_blocks(const OpContext& context);
std::unique_ptr<Kernel> prepare_depthwise_blocks(const OpContext& context);
// A 1x1 convolution of X times a gate [N,C,1,1].
double cost_gated(const OpContext& context);
std::unique_ptr<Kernel> prepare_gated(const OpContext& context);

// oneDNN's compiled kernels in any layout.
Refusal accepts_onednn(const OpContext& context);
double cost_onednn(const OpContext& context);
std::unique_ptr<Kernel> prepare_onednn(const OpContext& context);

// Matrix product, for 1x1 kernels on row-major maps.
Refusal accepts_pointwise(const OpContext& context);
double cost_pointwise(const OpContext& context);
std::unique_ptr<Kernel> prepare_pointwise(const OpContext& context);

// Depthwise on row-major maps.
Refusal accepts_depthwise(const OpContext& context);
double cost_depthwise(const OpContext& context);
std::unique_ptr<Kernel> prepare_depthwise(const OpContext& context);

// The GPU's.
extern const GpuRecipe kGpu;

// Plain loops.
double cost_reference(const OpContext& context);
std::unique_ptr<Kernel> prepare_reference(const OpContext& context);

}  // namespace fastort::conv
