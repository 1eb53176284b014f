#include "kernels/dnnl/conv.h"

#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kernels/dnnl/engine.h"

namespace fastort::kernels {
namespace {

using dnnl::algorithm;
using Dims = dnnl::memory::dims;

Dims dims_of(int64_t first, int64_t second, const ConvShape::Spatial& spatial, int rank) {
  Dims dims{first, second};
  dims.insert(dims.end(), spatial.begin(), spatial.begin() + rank);
  return dims;
}

Dims less_one(const ConvShape::Spatial& values, int rank) {
  Dims dims;
  for (int i = 0; i < rank; ++i) dims.push_back(values[static_cast<size_t>(i)] - 1);
  return dims;
}

void append_activation(dnnl::post_ops& ops, const ActivationSpec& spec) {
  switch (spec.kind) {
    case Activation::None:
    case Activation::Relu:
    case Activation::Clip:
    case Activation::HardSigmoid:
      return;
    case Activation::LeakyRelu:
      return ops.append_eltwise(algorithm::eltwise_relu, spec.alpha, 0);
    case Activation::Sigmoid:
      return ops.append_eltwise(algorithm::eltwise_logistic, 0, 0);
    case Activation::Tanh:
      return ops.append_eltwise(algorithm::eltwise_tanh, 0, 0);
    case Activation::HardSwish:
      return ops.append_eltwise(algorithm::eltwise_hardswish, 1.f / 6, 0.5f);
    case Activation::Silu:
      return ops.append_eltwise(algorithm::eltwise_swish, 1, 0);
    case Activation::Gelu:
      return ops.append_eltwise(algorithm::eltwise_gelu_erf, 0, 0);
    case Activation::GeluTanh:
      return ops.append_eltwise(algorithm::eltwise_gelu_tanh, 0, 0);
  }
}

// oneDNN's own order is not that of the speed: of what it offers for a layout, the least of these is the fastest on
// AVX2 (bench/ops; the grouped ones differ by a factor of two). Reference code is worse than ours.
constexpr int kSlow = 3;

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

int rank_of(std::string_view name, const ConvShape& shape) {
  if (contains(name, "ref")) return kSlow;
  if (contains(name, "gemm:")) return 2;
  if (shape.depthwise()) return contains(name, "jit_dw") ? 0 : 1;
  if (shape.taps() == 1) return contains(name, "jit_1x1") ? 0 : 1;
  const bool batched_gemm = contains(name, "brg");
  return batched_gemm == (shape.in_group() >= 8) ? 0 : 1;
}

}  // namespace

struct DnnlConv::Impl {
  ConvShape shape;
  ConvEpilogue epilogue;
  int threads;
  dnnl::convolution_forward::primitive_desc desc;
  dnnl::convolution_forward primitive;
  std::string name;
};

namespace {

class ConvMemory final : public DnnlConv::Memory {
 public:
  onednn::Arguments arguments;
};

}  // namespace

DnnlConv::DnnlConv(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DnnlConv::~DnnlConv() = default;

// What was found for a problem before: planning asks for the same one several times, and models repeat their layers.
class DnnlConv::Found {
 public:
  struct Entry {
    std::shared_ptr<const Impl> impl;
    std::string refusal;
  };
  static std::string key(const ConvShape& s, Layout src, Layout dst, const ConvEpilogue& e, int threads) {
    std::string key;
    const auto add = [&key](const auto& value) { key.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
    for (const int64_t value : {s.batch, s.in_channels, s.out_channels, s.groups}) add(value);
    for (const auto& spatial : {s.in, s.out, s.kernel, s.stride, s.dilation, s.pad_begin, s.pad_end}) add(spatial);
    for (const int value : {s.rank, static_cast<int>(src), static_cast<int>(dst), threads, int{e.bias}, int{e.residual},
                            static_cast<int>(e.activation.kind)})
      add(value);
    add(e.activation.alpha);
    add(e.activation.beta);
    return key;
  }
  std::optional<Entry> get(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(key);
    return at == entries_.end() ? std::nullopt : std::optional(at->second);
  }
  void put(const std::string& key, Entry entry) {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= kCapacity) entries_.clear();
    entries_[key] = std::move(entry);
  }

 private:
  static constexpr size_t kCapacity = 512;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

bool DnnlConv::keeps_nan(const ActivationSpec& activation) {
  switch (activation.kind) {
    case Activation::Relu:
    case Activation::Clip:
    case Activation::HardSigmoid:
      return false;
    case Activation::LeakyRelu:
      return activation.alpha != 0;
    default:
      return true;
  }
}

std::unique_ptr<DnnlConv> DnnlConv::create(const ConvShape& shape, Layout src, Layout dst, const ConvEpilogue& epilogue,
                                           int threads, std::string* refusal) {
  if (!keeps_nan(epilogue.activation)) {
    if (refusal) *refusal = "oneDNN makes a bound of NaN in this activation";
    return nullptr;
  }
  static Found found;
  // A map of one pixel or one channel lies in the same way in both layouts. oneDNN's cache of primitives takes its two
  // descriptions for equal, though other weights go with each, so only one of them is ever shown to it.
  const bool same_src = shape.in_channels == 1 || shape.in_pixels() == 1;
  const bool same_dst = shape.out_channels == 1 || shape.out_pixels() == 1;
  if (src == Layout::Nhwc && dst == Layout::Nhwc && same_src && same_dst) src = dst = Layout::Plain;
  const std::string key = Found::key(shape, src, dst, epilogue, threads);
  if (const std::optional<Found::Entry> entry = found.get(key)) {
    *refusal = entry->refusal;
    return entry->impl ? std::unique_ptr<DnnlConv>(new DnnlConv(std::make_unique<Impl>(*entry->impl))) : nullptr;
  }
  std::unique_ptr<DnnlConv> conv = search(shape, src, dst, epilogue, threads, refusal);
  found.put(key, {conv ? std::make_shared<const Impl>(*conv->impl_) : nullptr, *refusal});
  return conv;
}

std::unique_ptr<DnnlConv> DnnlConv::search(const ConvShape& shape, Layout src, Layout dst, const ConvEpilogue& epilogue,
                                           int threads, std::string* refusal) try {
  const onednn::Concurrency concurrency(threads);
  const int rank = shape.rank;
  Dims weights_dims = dims_of(shape.out_channels, shape.in_group(), shape.kernel, rank);
  if (shape.groups > 1) {
    weights_dims[0] = shape.out_group();
    weights_dims.insert(weights_dims.begin(), shape.groups);
  }
  const auto f32 = dnnl::memory::data_type::f32;
  const auto src_desc = onednn::describe(dims_of(shape.batch, shape.in_channels, shape.in, rank), src);
  const auto dst_desc = onednn::describe(dims_of(shape.batch, shape.out_channels, shape.out, rank), dst);
  const dnnl::memory::desc weights_desc(weights_dims, f32, dnnl::memory::format_tag::any);
  const dnnl::memory::desc bias_desc =
      epilogue.bias ? dnnl::memory::desc({shape.out_channels}, f32, dnnl::memory::format_tag::a) : dnnl::memory::desc();
  dnnl::post_ops ops;
  if (epilogue.residual) ops.append_binary(algorithm::binary_add, dst_desc);
  append_activation(ops, epilogue.activation);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_post_ops(ops);
  Dims begin(shape.pad_begin.begin(), shape.pad_begin.begin() + rank);
  Dims end(shape.pad_end.begin(), shape.pad_end.begin() + rank);
  Dims strides(shape.stride.begin(), shape.stride.begin() + rank);
  dnnl::convolution_forward::primitive_desc desc(
      onednn::engine(), dnnl::prop_kind::forward_inference, algorithm::convolution_direct, src_desc, weights_desc,
      bias_desc, dst_desc, strides, less_one(shape.dilation, rank), begin, end, attributes, /*allow_empty=*/true);
  if (!desc) {
    *refusal = "oneDNN has no implementation for these sizes and layouts";
    return nullptr;
  }
  std::string seen;
  std::unique_ptr<Impl> best;
  int best_rank = kSlow;
  do {
    std::string name = desc.impl_info_str();
    seen += seen.empty() ? name : ", " + name;
    const int rank_of_this = rank_of(name, shape);
    if (rank_of_this >= best_rank) continue;
    best_rank = rank_of_this;
    // Stepping to the next implementation changes the description in place.
    dnnl_primitive_desc_t copy = nullptr;
    onednn::check(dnnl_primitive_desc_clone(&copy, desc.get()), "copy a description");
    best = std::make_unique<Impl>(Impl{shape, epilogue, threads, {}, {}, std::move(name)});
    best->desc.reset(copy);
  } while (best_rank > 0 && desc.next_impl());
  if (best) return std::unique_ptr<DnnlConv>(new DnnlConv(std::move(best)));
  *refusal = "oneDNN has only slow implementations for these sizes and layouts: " + seen;
  return nullptr;
} catch (const dnnl::error& error) {
  fail(ErrorCode::EngineError, std::string("oneDNN could not describe a convolution: ") + error.what());
}

const std::string& DnnlConv::implementation() const { return impl_->name; }
size_t DnnlConv::scratchpad_bytes() const { return impl_->desc.scratchpad_desc().get_size(); }
std::string DnnlConv::weights_format() const { return onednn::format_name(impl_->desc.weights_desc()); }
size_t DnnlConv::weights_bytes() const { return impl_->desc.weights_desc().get_size(); }

void DnnlConv::pack_weights(const float* weights, std::byte* dst, const Parallel& parallel) const try {
  const onednn::Concurrency concurrency(impl_->threads);
  const dnnl::memory::desc to = impl_->desc.weights_desc();
  const dnnl::memory::dims dims = to.get_dims();
  dnnl::memory::dims strides(dims.size(), 1);
  for (size_t i = dims.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * dims[i + 1];
  const dnnl::memory::desc from(dims, dnnl::memory::data_type::f32, strides);
  const dnnl::reorder::primitive_desc desc(onednn::engine(), from, onednn::engine(), to);
  const dnnl::reorder primitive(desc);
  onednn::Arguments arguments;
  arguments.add(DNNL_ARG_FROM, from);
  arguments.add(DNNL_ARG_TO, to);
  arguments.set(0, weights);
  arguments.set(1, dst);
  onednn::execute(primitive.get(), arguments.data(), arguments.size(), impl_->threads, parallel);
} catch (const dnnl::error& error) {
  fail(ErrorCode::EngineError, std::string("oneDNN could not pack the weights of a convolution: ") + error.what());
}

void DnnlConv::compile() try {
  const onednn::Concurrency concurrency(impl_->threads);
  impl_->primitive = dnnl::convolution_forward(impl_->desc);
} catch (const dnnl::error& error) {
  fail(ErrorCode::EngineError, std::string("oneDNN could not make a convolution: ") + error.what());
}

std::unique_ptr<DnnlConv::Memory> DnnlConv::make_memory() const {
  auto memory = std::make_unique<ConvMemory>();
  onednn::Arguments& arguments = memory->arguments;
  arguments.add(DNNL_ARG_SRC, impl_->desc.src_desc());
  arguments.add(DNNL_ARG_WEIGHTS, impl_->desc.weights_desc());
  arguments.add(DNNL_ARG_DST, impl_->desc.dst_desc());
  arguments.add(DNNL_ARG_SCRATCHPAD, impl_->desc.scratchpad_desc());
  if (impl_->epilogue.bias) arguments.add(DNNL_ARG_BIAS, impl_->desc.bias_desc());
  if (impl_->epilogue.residual)
    arguments.add(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, impl_->desc.dst_desc());
  return memory;
}

void DnnlConv::run(Memory& memory, const float* src, const std::byte* weights, const float* bias, const float* residual,
                   float* dst, std::byte* scratchpad, const Parallel& parallel) const {
  onednn::Arguments& arguments = static_cast<ConvMemory&>(memory).arguments;
  arguments.set(0, src);
  arguments.set(1, weights);
  arguments.set(2, dst);
  arguments.set(3, scratchpad);
  int next = 4;
  if (impl_->epilogue.bias) arguments.set(next++, bias);
  if (impl_->epilogue.residual) arguments.set(next, residual);
  onednn::execute(impl_->primitive.get(), arguments.data(), arguments.size(), impl_->threads, parallel);
}

}  // namespace fastort::kernels
