#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "kernels/elementwise/half.h"
#include "kernels/gemm/sgemm.h"
#include "ops/matmul/matmul.h"

namespace fastort::matmul {

namespace {

using kernels::Epilogue;
using kernels::Sgemm;
using kernels::SgemmItem;
using Form = kernels::SgemmSizes::Form;

// Floats that are packed in one piece by one thread.
constexpr int64_t kPackedPiece = 1 << 18;

bool is_half(DataType type) { return type == DataType::Float16 || type == DataType::BFloat16; }

// Regions of the workspace, handed out in order.
class Regions {
 public:
  size_t take(size_t bytes) {
    const size_t at = bytes_;
    bytes_ += align_up(bytes);
    return at;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

class PackedKernel final : public Kernel {
 public:
  // `form`: one that accepts_strassen or accepts_amx has accepted, or the plain one.
  PackedKernel(const OpContext& context, Form form)
      : problem_(read_problem(context)), type_(context.type(0)), half_(is_half(type_)) {
    Problem& p = problem_;
    const Tensor* weights = context.constant(1);
    const bool pack = weights && p.k > 0 && p.n > 0 && weights->count() > 0;
    kernels::SgemmSizes sizes;
    sizes.m = p.m;
    sizes.n = p.n;
    sizes.k = p.k;
    sizes.batch = p.batch();
    sizes.trans_a = p.trans_a;
    sizes.trans_b = p.trans_b;
    sizes.a_stride = p.a_stride;
    sizes.b_stride = p.b_stride;
    sizes.c_stride = p.n;
    sizes.alpha = p.alpha;
    sizes.b_packed = pack;
    sizes.form = form;
    sizes.threads = context.options.threads;
    if (pack) pack_weights(context, *weights, form == Form::Strassen);
    rows_ = p.m;
    if (form == Form::Strassen) rows_ = std::min(p.m, kernels::Strassen::rows_at_once(p.m));
    if (form == Form::Amx && pack) rows_ = std::min(p.m, kernels::AmxGemm::rows_at_once(p.m, p.k));
    sizes.m = rows_;
    gemm_ = Sgemm(sizes);
    sizes.m = rows_ > 0 ? p.m % rows_ : 0;
    if (form == Form::Strassen && !kernels::Strassen::gains(sizes.m, sizes.n, sizes.k)) sizes.form = Form::Plain;
    last_ = Sgemm(sizes);
    epilogue_.activation = p.activation;
    epilogue_.bias_per_row = p.addend == Addend::PerRow;
    epilogue_.residual_stride = p.n;
    bias_count_ = p.bias >= 0 ? context.shape(p.bias).count() : 0;
    scale_bias_ = p.addend != Addend::None && (p.beta != 1 || p.addend == Addend::Scalar || half_);
    plan_workspace(context);
  }

  size_t workspace_bytes() const override { return regions_.bytes(); }

  uint32_t unread_inputs() const override { return packed_ ? 1u << 1 : 0; }

  void run(const KernelArgs& args) const override {
    if (c_count_ == 0) return;
    const Problem& p = problem_;
    const float* a = operand(args, 0, a_floats_, a_count_);
    const float* b = packed_ ? reinterpret_cast<const float*>(packed_->data()) : operand(args, 1, b_floats_, b_count_);
    float* const c = half_ ? at(args, c_floats_) : args.out<float>(0);
    Epilogue epilogue = epilogue_;
    const float* residual = nullptr;
    if (p.residual >= 0) residual = operand(args, p.residual, residual_floats_, c_count_);
    if (p.bias >= 0) {
      const float* bias = scale_bias_ ? scaled_bias(args) : args.in<float>(p.bias);
      (p.addend == Addend::Full ? residual : epilogue.bias) = bias;
    }
    std::byte* const workspace = args.workspace + gemm_at_;
    if (p.batch() == 1) {
      for (int64_t row = 0; row < p.m; row += rows_) {
        const SgemmItem item{a + p.a_offsets[0] + (p.trans_a ? row : row * p.a_stride), b + b_offset(0), c + row * p.n,
                             residual ? residual + row * p.n : nullptr,
                             measured_ ? reinterpret_cast<const float*>(measured_->data()) : nullptr};
        (row + rows_ <= p.m ? gemm_ : last_).run(item, epilogue, workspace, args.parallel);
        if (epilogue.bias_per_row && epilogue.bias) epilogue.bias += rows_;
      }
    } else {
      const int64_t size = p.m * p.n;
      gemm_.run_batch(
          [&](int64_t i) {
            return SgemmItem{a + p.a_offsets[static_cast<size_t>(i)], b + b_offset(static_cast<size_t>(i)),
                             c + i * size, residual ? residual + i * size : nullptr};
          },
          epilogue, workspace, args.parallel);
    }
    if (half_) {
      std::byte* const out = args.out<std::byte>(0);
      args.parallel.range(c_count_, 16384, [&](int64_t begin, int64_t end) {
        kernels::narrow(type_, c + begin, out + begin * 2, end - begin);
      });
    }
  }

 private:
  // Every matrix of a constant B in panels, one after the other.
  void pack_weights(const OpContext& context, const Tensor& weights, bool measure) {
    const Problem& p = problem_;
    std::vector<int64_t> distinct = p.b_offsets;
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    const size_t each = align_up(kernels::packed_b_bytes(p.k, p.n));
    const std::string sizes = std::to_string(p.k) + "x" + std::to_string(p.n) + "-" + std::to_string(p.b_stride);
    const std::string format = std::string(kernels::packed_b_format(p.trans_b)) + "-" + sizes;
    packed_ = context.packs.get(weights, format, each * distinct.size(), [&](std::byte* dst) {
      const Parallel parallel(ThreadPool::instance(), context.options.threads);
      for (size_t i = 0; i < distinct.size(); ++i) pack_matrix(weights, distinct[i], dst + i * each, parallel);
    });
    for (int64_t offset : p.b_offsets) {
      const auto index = std::lower_bound(distinct.begin(), distinct.end(), offset) - distinct.begin();
      packed_offsets_.push_back(index * static_cast<int64_t>(each / sizeof(float)));
    }
    if (measure) {
      measured_ = context.packs.get(weights, format + "-measured", kernels::measured_b_bytes(p.k), [&](std::byte* dst) {
        const Parallel parallel(ThreadPool::instance(), context.options.threads);
        kernels::measure_b(reinterpret_cast<const float*>(packed_->data()), p.k, p.n, reinterpret_cast<float*>(dst),
                           parallel);
      });
    }
  }

  // Reads the weights where they lie, in pieces of some columns that are copied where they are not aligned or not
  // float32.
  void pack_matrix(const Tensor& weights, int64_t offset, std::byte* dst, const Parallel& parallel) const {
    const Problem& p = problem_;
    const size_t item = element_size(type_);
    const std::byte* const src = weights.source() + static_cast<size_t>(offset) * item;
    const bool direct = !half_ && reinterpret_cast<uintptr_t>(src) % alignof(float) == 0;
    const int64_t panel = kernels::packed_b_panel();
    const int64_t columns = std::max<int64_t>(1, kPackedPiece / (p.k * panel)) * panel;
    parallel.chunks(static_cast<int>((p.n + columns - 1) / columns), [&](int piece) {
      const int64_t first = piece * columns, width = std::min(columns, p.n - first);
      float* const to = reinterpret_cast<float*>(dst) + first * p.k;
      const std::byte* const from = src + static_cast<size_t>(p.trans_b ? first * p.b_stride : first) * item;
      const int64_t rows = p.trans_b ? width : p.k, row = p.trans_b ? p.k : width;
      const float* floats = reinterpret_cast<const float*>(from);
      int64_t stride = p.b_stride;
      std::vector<float> copy;
      if (!direct) {
        copy.resize(static_cast<size_t>(rows * row));
        for (int64_t i = 0; i < rows; ++i)
          read_row(from + static_cast<size_t>(i * p.b_stride) * item, &copy[i * row], row);
        floats = copy.data();
        stride = row;
      }
      kernels::pack_b(floats, p.trans_b ? 1 : stride, p.trans_b ? stride : 1, p.k, width, to);
      // The rows of a large weight are read once, and their pages are given back at once.
      if (p.trans_b) weights.buffer()->forget(from, static_cast<size_t>((rows - 1) * p.b_stride + p.k) * item);
    });
  }

  void read_row(const std::byte* src, float* dst, int64_t count) const {
    if (!half_) {
      std::memcpy(dst, src, static_cast<size_t>(count) * sizeof(float));
      return;
    }
    std::array<Float16, 512> aligned;  // or BFloat16, which is as wide
    for (int64_t i = 0; i < count; i += static_cast<int64_t>(aligned.size())) {
      const int64_t items = std::min(static_cast<int64_t>(aligned.size()), count - i);
      std::memcpy(aligned.data(), src + static_cast<size_t>(i) * sizeof(Float16),
                  static_cast<size_t>(items) * sizeof(Float16));
      kernels::widen(type_, aligned.data(), dst + i, items);
    }
  }

  void plan_workspace(const OpContext& context) {
    a_count_ = context.shape(0).count();
    b_count_ = context.shape(1).count();
    c_count_ = context.out(0).shape.count();
    gemm_at_ = regions_.take(std::max(gemm_.workspace_bytes(), last_.workspace_bytes()));
    const auto floats = [&](int64_t count) { return regions_.take(static_cast<size_t>(count) * sizeof(float)); };
    if (half_) {
      a_floats_ = floats(a_count_);
      if (!packed_) b_floats_ = floats(b_count_);
      c_floats_ = floats(c_count_);
      if (problem_.residual >= 0) residual_floats_ = floats(c_count_);
    }
    if (scale_bias_) bias_floats_ = floats(problem_.addend == Addend::Scalar ? problem_.n : bias_count_);
  }

  int64_t b_offset(size_t i) const { return packed_ ? packed_offsets_[i] : problem_.b_offsets[i]; }

  static float* at(const KernelArgs& args, size_t offset) { return reinterpret_cast<float*>(args.workspace + offset); }

  const float* operand(const KernelArgs& args, int input, size_t copy_at, int64_t count) const {
    if (!half_) return args.in<float>(input);
    float* const copy = at(args, copy_at);
    const std::byte* const src = args.in<std::byte>(input);
    args.parallel.range(count, 16384, [&](int64_t begin, int64_t end) {
      kernels::widen(type_, src + begin * 2, copy + begin, end - begin);
    });
    return copy;
  }

  // beta * C as float32; a scalar becomes one number for each column.
  const float* scaled_bias(const KernelArgs& args) const {
    float* const dst = at(args, bias_floats_);
    if (half_) {
      kernels::widen(type_, args.in<std::byte>(problem_.bias), dst, bias_count_);
    } else {
      std::memcpy(dst, args.in<float>(problem_.bias), static_cast<size_t>(bias_count_) * sizeof(float));
    }
    if (problem_.beta != 1)
      for (int64_t i = 0; i < bias_count_; ++i) dst[i] *= problem_.beta;
    if (problem_.addend == Addend::Scalar) std::fill(dst, dst + problem_.n, dst[0]);
    return dst;
  }

  Problem problem_;
  DataType type_;
  bool half_;
  bool scale_bias_ = false;
  std::shared_ptr<Buffer> packed_, measured_;
  std::vector<int64_t> packed_offsets_;
  // One product computes so many rows, all of them in the plain form; and the last one what is left.
  int64_t rows_ = 0;
  Sgemm gemm_, last_;
  Epilogue epilogue_;
  Regions regions_;
  int64_t a_count_ = 0, b_count_ = 0, c_count_ = 0, bias_count_ = 0;
  size_t gemm_at_ = 0, a_floats_ = 0, b_floats_ = 0, c_floats_ = 0, residual_floats_ = 0, bias_floats_ = 0;
};

}  // namespace

Refusal accepts_packed(const OpContext& context) {
  const DataType type = context.type(0);
  if (type != DataType::Float && !is_half(type)) return "only float32, float16 and bfloat16";
  return {};
}

std::unique_ptr<Kernel> prepare_packed(const OpContext& context) {
  return std::make_unique<PackedKernel>(context, Form::Plain);
}

// Nanoseconds, within a sixteenth of what products of 16 to 3136 rows took on a Xeon with AVX-512 (on other processors
// only what Strassen's form saves depends on it): a thread's multiply-adds, what it reads of B, and what threads wait.
double cost_packed(const OpContext& context) {
  constexpr double kWide = 87, kNarrow = 49, kRight = 0.035, kThreads = 4200, kRun = 300;
  const Problem p = read_problem(context);
  const double rate = kernels::packed_b_panel() > 16 ? kWide : kNarrow;
  const double b = static_cast<double>(p.batch()) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const int threads = context.options.threads;
  return kRun + (threads > 1 ? kThreads : 0) + b * (static_cast<double>(p.m) / rate + kRight) / threads;
}

Refusal accepts_amx(const OpContext& context) {
  if (!kernels::AmxGemm::available())
    return "the processor has no matrix unit for bfloat16 (AMX), or the system does not let this process use it";
  if (!context.options.allow_amx) return "switched off by the session's options";
  if (Refusal refusal = accepts_packed(context)) return refusal;
  const Problem problem = read_problem(context);
  if (problem.batch() != 1) return "a batch of products";
  if (problem.m == 0 || problem.n == 0 || problem.k == 0) return "an empty product";
  return {};
}

double cost_amx(const OpContext& context) {
  const Problem problem = read_problem(context);
  return kernels::AmxGemm(problem.m, problem.n, problem.k, context.options.threads).nanoseconds();
}

std::unique_ptr<Kernel> prepare_amx(const OpContext& context) {
  return std::make_unique<PackedKernel>(context, Form::Amx);
}

Refusal accepts_strassen(const OpContext& context) {
  if (!context.options.allow_winograd) return "switched off by the session's options";
  if (Refusal refusal = accepts_packed(context)) return refusal;
  if (!context.constant(1)) return "B that is not constant";
  const Problem problem = read_problem(context);
  if (problem.batch() != 1) return "a batch of products";
  if (!kernels::Strassen::gains(problem.m, problem.n, problem.k)) return "a product that would not gain by it";
  return {};
}

// What it saves with AVX2; with AVX-512 the sums take what the products save.
double cost_strassen(const OpContext& context) {
  return (kernels::packed_b_panel() > 16 ? 1.03 : 0.95) * cost_packed(context);
}

std::unique_ptr<Kernel> prepare_strassen(const OpContext& context) {
  return std::make_unique<PackedKernel>(context, Form::Strassen);
}

}  // namespace fastort::matmul
