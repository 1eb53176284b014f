#include <algorithm>
#include <utility>

#include "kernels/dnnl/conv.h"
#include "kernels/gemm/sgemm_kernels.h"
#include "ops/conv/conv.h"

namespace fastort::conv {
namespace {

using kernels::DnnlConv;

struct DnnlState final : KernelState {
  std::unique_ptr<DnnlConv::Memory> memory;
};

class OnednnKernel final : public Kernel {
 public:
  // `weights` is empty where the weights are not known yet: they are then packed in every run. `own` follows oneDNN's
  // kernel on the blocks of the output.
  OnednnKernel(std::unique_ptr<DnnlConv> conv, const Problem& problem, std::shared_ptr<Buffer> weights,
               const TensorDesc& dst, const ActivationSpec& own)
      : conv_(std::move(conv)),
        epilogue_(problem.epilogue),
        weights_(std::move(weights)),
        own_(own),
        block_(channel_block(dst.layout)),
        floats_(physical_count(dst.shape, dst.layout)) {
    if (block_ == 1 || activate(own, 0.0f) == 0) return;
    filled_ = problem.shape.out_channels % block_;
    plane_ = problem.shape.out_pixels() * block_;
    image_ = floats_ / std::max<int64_t>(1, problem.shape.batch);
  }

  size_t workspace_bytes() const override {
    return align_up(conv_->scratchpad_bytes()) + (weights_ ? 0 : conv_->weights_bytes());
  }

  uint32_t unread_inputs() const override { return weights_ ? 1u << kW : 0; }

  std::unique_ptr<KernelState> make_state() const override {
    auto state = std::make_unique<DnnlState>();
    state->memory = conv_->make_memory();
    return state;
  }

  void run(const KernelArgs& args) const override {
    const std::byte* packed = weights_ ? weights_->data() : pack(args);
    conv_->run(*static_cast<DnnlState*>(args.state)->memory, args.in<float>(kX), packed,
               epilogue_.bias ? args.in<float>(kB) : nullptr, epilogue_.residual ? args.in<float>(kZ) : nullptr,
               args.out<float>(0), args.workspace, args.parallel);
    if (own_.kind == Activation::None) return;
    float* dst = args.out<float>(0);
    constexpr int64_t kGrain = 8192;
    args.parallel.range(floats_, kGrain,
                        [&](int64_t begin, int64_t end) { kernels::activate_floats(own_, dst + begin, end - begin); });
    // Channels behind the last one stay zero whatever the activation makes of zero.
    for (int64_t end = image_; filled_ > 0 && end <= floats_; end += image_)
      for (int64_t i = end - plane_; i < end; i += block_) std::fill(dst + i + filled_, dst + i + block_, 0.0f);
  }

 private:
  const std::byte* pack(const KernelArgs& args) const {
    std::byte* packed = args.workspace + align_up(conv_->scratchpad_bytes());
    conv_->pack_weights(args.in<float>(kW), packed, args.parallel);
    return packed;
  }

  std::unique_ptr<DnnlConv> conv_;
  kernels::ConvEpilogue epilogue_;
  std::shared_ptr<Buffer> weights_;
  ActivationSpec own_;
  int block_;
  int64_t floats_;
  int64_t filled_ = 0, plane_ = 0, image_ = 0;  // channels of the last block that are to be cleared behind `own`
};

Refusal refuse_channels(const kernels::ConvShape& shape, Layout in, Layout out) {
  if (in != out && shape.in_channels > 3) return "a map of many channels should come in blocks already";
  const int64_t block = channel_block(out);
  if (block > 1 && shape.groups > 1 && !shape.depthwise() &&
      (shape.in_group() % block != 0 || shape.out_group() % block != 0))
    return "groups that do not fill blocks of channels";
  return {};
}

std::unique_ptr<DnnlConv> create(const OpContext& context, const Problem& problem, std::string* refusal) {
  return DnnlConv::create(problem.shape, context.in(kX).layout, context.out(0).layout, problem.epilogue,
                          context.options.threads, refusal);
}

// GFLOP/s of one thread, as measured on AVX2 with a peak of 99.
double rate(const kernels::ConvShape& shape, Layout in, Layout out) {
  if (in != out) return 90;
  const bool pointwise = shape.taps() == 1;
  if (shape.depthwise()) {
    const bool large = shape.taps() > 9;
    return channel_block(out) > 1 ? (large ? 70 : 52) : out == Layout::Nhwc ? (large ? 57 : 48) : 1.5;
  }
  if (channel_block(out) > 1) return pointwise ? 88 : 82;
  if (out == Layout::Nhwc) return 82;
  return pointwise ? 55 : 35;
}

bool is_exponential(Activation kind) {
  return kind == Activation::Sigmoid || kind == Activation::Tanh || kind == Activation::Silu ||
         kind == Activation::Gelu || kind == Activation::GeluTanh;
}

// The activation that our own kernel does better in a pass of its own, taken from what oneDNN is asked for.
ActivationSpec take_activation(const OpContext& context, Problem& problem) {
  ActivationSpec& activation = problem.epilogue.activation;
  const bool faster = activation.kind == Activation::Silu && channel_block(context.out(0).layout) > 1;
  if (!faster && DnnlConv::keeps_nan(activation)) return {};
  return std::exchange(activation, {});
}

}  // namespace

Refusal accepts_onednn(const OpContext& context) {
  if (context.type(kX) != DataType::Float) return "only float32";
  Problem problem = read_problem(context);
  take_activation(context, problem);
  if (Refusal refusal = refuse_odd_sizes(problem.shape)) return refusal;
  if (Refusal refusal = refuse_layouts(context)) return refusal;
  if (Refusal refusal = refuse_channels(problem.shape, context.in(kX).layout, context.out(0).layout)) return refusal;
  std::string refusal;
  if (!create(context, problem, &refusal)) return refusal;
  return {};
}

double cost_onednn(const OpContext& context) {
  const Problem problem = read_problem(context);
  const kernels::ConvShape& shape = problem.shape;
  const Layout out = context.out(0).layout;
  // What an exponential, and a bound, cost more than in our own kernels, nanoseconds for each output and thread.
  constexpr double kExponential = 0.2, kBound = 0.1;
  const double outputs = static_cast<double>(physical_count(context.out(0).shape, out));
  const double exponentials = is_exponential(problem.epilogue.activation.kind) ? kExponential * outputs : 0;
  // Fitted as the costs of our own, with the activations that these layers had.
  constexpr PointwiseCosts kPointwise{1.0 / 185, 1.0 / 50, 1.0 / 46, 1.0 / 28, 4400};
  if (const auto cost = estimate_pointwise(context, shape, kPointwise))
    return *cost + exponentials / context.options.threads;
  const double bounds = DnnlConv::keeps_nan(problem.epilogue.activation) ? 0 : kBound * outputs;
  return estimate(context, shape, 2 * shape.macs(), rate(shape, context.in(kX).layout, out)) +
         (exponentials + bounds) / context.options.threads;
}

std::unique_ptr<Kernel> prepare_onednn(const OpContext& context) {
  Problem problem = read_problem(context);
  const ActivationSpec own = take_activation(context, problem);
  std::string refusal;
  std::unique_ptr<DnnlConv> conv = create(context, problem, &refusal);
  if (!conv) context.fail(refusal);
  conv->compile();
  std::shared_ptr<Buffer> packed;
  if (const Tensor* weights = context.constant(kW)) {
    const Parallel parallel(ThreadPool::instance(), context.options.threads);
    packed = context.packs.get(*weights, conv->weights_format(), conv->weights_bytes(),
                               [&](std::byte* dst) { conv->pack_weights(weights->data<float>(), dst, parallel); });
  }
  return std::make_unique<OnednnKernel>(std::move(conv), problem, std::move(packed), context.out(0), own);
}

}  // namespace fastort::conv
