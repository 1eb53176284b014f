#include <algorithm>
#include <string>
#include <type_traits>

#include "kernels/gemm/sgemm.h"
#include "ops/einsum/equation.h"
#include "ops/gpu/typed.h"
#include "tensor/dispatch.h"

namespace fastort {

namespace {

using einsum::Equation;

template <class Context>
Equation read_equation(const Context& context) {
  InlineVector<int, 8> ranks;
  for (int i = 0; i < context.num_inputs(); ++i) ranks.push_back(context.shape(i).rank());
  const std::string text = context.attributes().get_string("equation", "");
  try {
    return einsum::parse(text, std::span<const int>(ranks.data(), ranks.size()));
  } catch (const Error& error) {
    context.fail(error.what());
  }
}

void infer_einsum(InferContext& context) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (!context.has_shape(i)) return context.out(0, context.type(0));
  const Equation equation = read_equation(context);
  std::vector<Dim> sizes(static_cast<size_t>(equation.labels), 1);
  for (int i = 0; i < context.num_inputs(); ++i) {
    const auto& labels = equation.inputs[static_cast<size_t>(i)];
    for (size_t d = 0; d < labels.size(); ++d) {
      Dim& size = sizes[static_cast<size_t>(labels[d])];
      const Dim own = context.shape(i)[d];
      if (is_known(size) && is_known(own) && size != own && size != 1 && own != 1)
        context.fail("a label of the equation stands for dimensions of " + std::to_string(size) + " and " +
                     std::to_string(own));
      size = context.symbols.broadcast(size, own);
    }
  }
  Shape shape;
  for (int label : equation.output) shape.push_back(sizes[static_cast<size_t>(label)]);
  context.out(0, context.type(0), std::move(shape));
}

// Sizes of the labels, and each operand's stride along each of them.
struct Space {
  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> strides;
};

Space make_space(const OpContext& context, const Equation& equation) {
  Space space;
  space.sizes.assign(static_cast<size_t>(equation.labels), 1);
  for (int i = 0; i < context.num_inputs(); ++i) {
    const auto& labels = equation.inputs[static_cast<size_t>(i)];
    const Shape strides = contiguous_strides(context.shape(i));
    auto& own = space.strides.emplace_back(static_cast<size_t>(equation.labels), 0);
    for (size_t d = 0; d < labels.size(); ++d) {
      const size_t label = static_cast<size_t>(labels[d]);
      const int64_t size = context.shape(i)[d];
      if (size != 1) {
        space.sizes[label] = size;
        own[label] += strides[d];  // twice for a diagonal
      }
    }
  }
  return space;
}

template <class T>
auto load(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<uint64_t>(value);  // wraps around, as the type itself does
  } else {
    return widened(value);
  }
}

template <class T, class Sum>
T store(Sum value) {
  return rounded<T>(static_cast<Arithmetic<T>>(value));
}

// For each item of the output the sum over all other labels.
template <class T>
class ReferenceKernel final : public Kernel {
 public:
  explicit ReferenceKernel(const OpContext& context) {
    const Equation equation = read_equation(context);
    const Space space = make_space(context, equation);
    std::vector<bool> kept(static_cast<size_t>(equation.labels), false);
    for (int label : equation.output) kept[static_cast<size_t>(label)] = true;
    operands_ = space.strides.size();
    for (int label : equation.output) add(space, static_cast<size_t>(label));
    outer_ = sizes_.size();
    for (size_t label = 0; label < kept.size(); ++label)
      if (!kept[label]) add(space, label);
    for (size_t i = 0; i < sizes_.size(); ++i) (i < outer_ ? items_ : terms_) *= sizes_[i];
  }

  void run(const KernelArgs& args) const override {
    args.parallel.range(items_, 1 + 16384 / std::max<int64_t>(1, terms_), [&](int64_t begin, int64_t end) {
      InlineVector<const T*, 8> at(operands_);
      InlineVector<int64_t, 16> index(sizes_.size());
      for (int64_t item = begin; item < end; ++item) {
        for (size_t o = 0; o < operands_; ++o) at[o] = args.in<T>(static_cast<int>(o));
        int64_t rest = item;
        for (size_t i = outer_; i-- > 0;) {
          for (size_t o = 0; o < operands_; ++o) at[o] += rest % sizes_[i] * strides_[i * operands_ + o];
          rest /= sizes_[i];
        }
        args.out<T>(0)[item] = store<T>(sum(at, index));
      }
    });
  }

 private:
  using Sum = decltype(load(T{}));

  void add(const Space& space, size_t label) {
    sizes_.push_back(space.sizes[label]);
    for (const auto& strides : space.strides) strides_.push_back(strides[label]);
  }

  Sum sum(InlineVector<const T*, 8>& at, InlineVector<int64_t, 16>& index) const {
    Sum total{};
    for (int64_t term = 0; term < terms_; ++term) {
      Sum product = load(*at[0]);
      for (size_t o = 1; o < operands_; ++o) product *= load(*at[o]);
      total += product;
      for (size_t i = sizes_.size(); i-- > outer_;) {
        const int64_t* strides = &strides_[i * operands_];
        if (++index[i] < sizes_[i]) {
          for (size_t o = 0; o < operands_; ++o) at[o] += strides[o];
          break;
        }
        for (size_t o = 0; o < operands_; ++o) at[o] -= strides[o] * (sizes_[i] - 1);
        index[i] = 0;
      }
    }
    return total;
  }

  size_t operands_ = 0, outer_ = 0;
  std::vector<int64_t> sizes_;    // output's labels first, then the summed ones
  std::vector<int64_t> strides_;  // for each of them the operands' strides
  int64_t items_ = 1, terms_ = 1;
};

std::unique_ptr<Kernel> prepare_reference(const OpContext& context) {
  return with_type(NumberList{}, "Einsum", context.type(0),
                   [&]<class T>(std::type_identity<T>) -> std::unique_ptr<Kernel> {
                     return std::make_unique<ReferenceKernel<T>>(context);
                   });
}

// ---- two float32 operands as one batched product -----------------------------------------------------------------

// Copies a strided tensor into row-major order, or back.
struct Permutation {
  std::vector<int64_t> sizes, strides;  // outermost first, as they stand in the row-major copy
  int64_t count() const {
    int64_t n = 1;
    for (int64_t size : sizes) n *= size;
    return n;
  }
  bool identity() const {
    int64_t inner = 1;
    for (size_t i = sizes.size(); i-- > 0;) {
      if (sizes[i] != 1 && strides[i] != inner) return false;
      inner *= sizes[i];
    }
    return true;
  }
  template <class F>
  void for_each(const Parallel& parallel, F&& move) const {
    parallel.range(count(), 8192, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t rest = i, offset = 0;
        for (size_t d = sizes.size(); d-- > 0;) {
          offset += rest % sizes[d] * strides[d];
          rest /= sizes[d];
        }
        move(i, offset);
      }
    });
  }
};

class ProductKernel final : public Kernel {
 public:
  explicit ProductKernel(const OpContext& context) {
    const Equation equation = read_equation(context);
    const Space space = make_space(context, equation);
    const Shape out_strides = contiguous_strides(context.out(0).shape);
    std::vector<int64_t> c_strides(space.sizes.size(), 0);
    for (size_t d = 0; d < equation.output.size(); ++d)
      c_strides[static_cast<size_t>(equation.output[d])] = out_strides[d];
    std::vector<size_t> batch, rows, cols, depth;
    for (size_t label = 0; label < space.sizes.size(); ++label) {
      const bool in_a = contains(equation.inputs[0], label), in_b = contains(equation.inputs[1], label);
      const bool in_c = contains(equation.output, label);
      (in_c ? in_a && in_b ? batch : in_a ? rows : cols : depth).push_back(label);
    }
    const auto order = [](std::vector<size_t>& labels, const std::vector<int64_t>& strides) {
      std::stable_sort(labels.begin(), labels.end(), [&](size_t x, size_t y) { return strides[x] > strides[y]; });
    };
    order(batch, c_strides);
    order(rows, c_strides);
    order(cols, c_strides);
    order(depth, space.strides[0]);
    kernels::SgemmSizes sizes;
    const auto fill = [&](Permutation& p, const std::vector<int64_t>& strides,
                          std::initializer_list<const std::vector<size_t>*> groups) {
      for (const auto* group : groups)
        for (size_t label : *group) {
          p.sizes.push_back(space.sizes[label]);
          p.strides.push_back(strides[label]);
        }
    };
    const auto product = [&](const std::vector<size_t>& labels) {
      int64_t n = 1;
      for (size_t label : labels) n *= space.sizes[label];
      return n;
    };
    fill(a_, space.strides[0], {&batch, &rows, &depth});
    fill(b_, space.strides[1], {&batch, &depth, &cols});
    Permutation b_transposed;
    fill(b_transposed, space.strides[1], {&batch, &cols, &depth});
    fill(c_, c_strides, {&batch, &rows, &cols});
    sizes.m = product(rows);
    sizes.n = product(cols);
    sizes.k = product(depth);
    sizes.batch = product(batch);
    sizes.a_stride = sizes.k;
    sizes.b_stride = sizes.c_stride = sizes.n;
    if (!b_.identity() && b_transposed.identity()) {
      b_ = b_transposed;
      sizes.trans_b = true;
      sizes.b_stride = sizes.k;
    }
    gemm_ = kernels::Sgemm(sizes);
    const auto copy_bytes = [](const Permutation& p) {
      return p.identity() ? 0 : align_up(static_cast<size_t>(p.count()) * sizeof(float));
    };
    b_at_ = copy_bytes(a_);
    c_at_ = b_at_ + copy_bytes(b_);
    gemm_at_ = c_at_ + copy_bytes(c_);
  }

  size_t workspace_bytes() const override { return gemm_at_ + gemm_.workspace_bytes(); }

  void run(const KernelArgs& args) const override {
    const float* a = gather(args, a_, 0, 0);
    const float* b = gather(args, b_, 1, b_at_);
    float* const out = args.out<float>(0);
    float* const c = c_.identity() ? out : reinterpret_cast<float*>(args.workspace + c_at_);
    const kernels::SgemmSizes& s = gemm_.sizes();
    gemm_.run_batch(
        [&](int64_t i) {
          return kernels::SgemmItem{a + i * s.m * s.k, b + i * s.k * s.n, c + i * s.m * s.n, nullptr};
        },
        {}, args.workspace + gemm_at_, args.parallel);
    if (c != out) c_.for_each(args.parallel, [&](int64_t i, int64_t offset) { out[offset] = c[i]; });
  }

 private:
  static bool contains(const std::vector<int>& labels, size_t label) {
    return std::find(labels.begin(), labels.end(), static_cast<int>(label)) != labels.end();
  }

  static const float* gather(const KernelArgs& args, const Permutation& p, int input, size_t at) {
    const float* const src = args.in<float>(input);
    if (p.identity()) return src;
    float* const dst = reinterpret_cast<float*>(args.workspace + at);
    p.for_each(args.parallel, [&](int64_t i, int64_t offset) { dst[i] = src[offset]; });
    return dst;
  }

  Permutation a_, b_, c_;
  kernels::Sgemm gemm_;
  size_t b_at_ = 0, c_at_ = 0, gemm_at_ = 0;
};

Refusal accepts_product(const OpContext& context) {
  if (context.type(0) != DataType::Float) return "only float32";
  if (context.num_inputs() != 2) return "only two operands";
  const Equation equation = read_equation(context);
  for (int label = 0; label < equation.labels; ++label) {
    const auto uses = [&](const std::vector<int>& labels) { return std::count(labels.begin(), labels.end(), label); };
    const auto a = uses(equation.inputs[0]), b = uses(equation.inputs[1]), c = uses(equation.output);
    if (a > 1 || b > 1) return "a diagonal";
    if (c == 0 && (a == 0 || b == 0)) return "a sum over one operand alone";
  }
  const Space space = make_space(context, equation);
  for (size_t label = 0; label < space.sizes.size(); ++label) {
    for (size_t o = 0; o < 2; ++o) {
      const auto& labels = equation.inputs[o];
      const auto at = std::find(labels.begin(), labels.end(), static_cast<int>(label));
      if (at != labels.end() &&
          context.shape(static_cast<int>(o))[static_cast<size_t>(at - labels.begin())] != space.sizes[label])
        return "a broadcast label";
    }
  }
  return {};
}

std::unique_ptr<Kernel> prepare_product(const OpContext& context) { return std::make_unique<ProductKernel>(context); }

// ---- the GPU ------------------------------------------------------------------------------------------------------

Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  constexpr size_t kMostOperands = 4;
  constexpr double kMostTerms = 1e11;
  std::string_view shader;
  if (Refusal refusal = gpu::choose_by_type("einsum", context.type(0), traits, shader)) return refusal;
  const Equation equation = read_equation(context);
  const Space space = make_space(context, equation);
  const size_t operands = space.strides.size();
  if (operands > kMostOperands) return "more than four operands";
  std::vector<size_t> labels;
  for (const int label : equation.output) labels.push_back(static_cast<size_t>(label));
  const size_t outer = labels.size();
  for (size_t label = 0; label < space.sizes.size(); ++label)
    if (std::find(equation.output.begin(), equation.output.end(), static_cast<int>(label)) == equation.output.end())
      labels.push_back(label);
  std::vector<uint32_t> words;
  int64_t terms = 1;
  for (size_t i = 0; i < labels.size(); ++i) {
    words.push_back(static_cast<uint32_t>(space.sizes[labels[i]]));
    if (i >= outer) terms *= space.sizes[labels[i]];
  }
  for (const size_t label : labels)
    for (size_t o = 0; o < operands; ++o) words.push_back(static_cast<uint32_t>(space.strides[o][label]));
  const int64_t count = context.out(0).shape.count();
  const double products = static_cast<double>(count) * static_cast<double>(terms);
  if (products > kMostTerms) return "more products than a plain loop should do";
  const GpuOperand table = work.table(std::move(words));
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {static_cast<uint32_t>(operands), static_cast<uint32_t>(labels.size()),
                        static_cast<uint32_t>(outer)};
  dispatch.operands = {GpuWork::output(0), table};
  for (size_t o = 0; o < operands; ++o) dispatch.operands.push_back(GpuWork::input(static_cast<int>(o)));
  dispatch.push.u32(count).u32(terms);
  dispatch.groups = groups_for(count, 64, traits);
  dispatch.flops = products;
  return std::nullopt;
}
constexpr GpuRecipe kGpu{kIntTypes | TypeMask{DataType::Float, DataType::Double}, gpu_work};

constexpr Candidate kEinsum[] = {{.name = "product", .accepts = accepts_product, .prepare = prepare_product},
                                 {.name = "reference", .prepare = prepare_reference}};

constexpr OpDef kOps[] = {
    {"", "Einsum", infer_einsum, kEinsum, kNumericTypes, kNone, 0, &kGpu},
};

}  // namespace

std::span<const OpDef> einsum_ops() { return kOps; }

}  // namespace fastort
