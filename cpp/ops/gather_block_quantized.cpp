#include <algorithm>

#include "kernels/elementwise/convert.h"
#include "kernels/elementwise/half.h"
#include "ops/quantized/params.h"

namespace fastort {
namespace {

enum Input { kData, kIndices, kScales, kZeros };

constexpr TypeMask kSmallFloats{DataType::Float8E4M3FN, DataType::Float8E4M3FNUZ, DataType::Float8E5M2,
                                DataType::Float8E5M2FNUZ, DataType::Float4E2M1};
constexpr TypeMask kData8{DataType::UInt8};
constexpr TypeMask kTypes = kSmallFloats | kData8 | TypeMask{DataType::Int4, DataType::UInt4};
constexpr TypeMask kReal{DataType::Float, DataType::Float16, DataType::BFloat16};

// Numbers that one element of `data` holds.
int64_t numbers_each(const Attributes& attributes, DataType type) {
  return type == DataType::UInt8 ? 8 / attributes.get_int("bits", 4) : 1;
}

void check(const InferContext& context) {
  quantized::require(context, {kData, kIndices, kScales});
  const Attributes& attributes = context.attributes();
  const DataType type = context.type(kData);
  const int64_t bits = attributes.get_int("bits", 4), block = attributes.get_int("block_size", 128);
  const bool small_float = kSmallFloats.has(type);
  if (bits != 2 && bits != 4 && bits != 8) context.fail("bits is " + std::to_string(bits) + "; 2, 4 and 8 are there");
  if (!(small_float && block == 0) && (block < 16 || (block & (block - 1)) != 0))
    context.fail("block_size is " + std::to_string(block) + ", a power of 2 from 16 on is needed");
  if (small_float && context.has_input(kZeros)) context.fail("floats take no zero_points");
  const DataType index = context.type(kIndices);
  if (index != DataType::Int32 && index != DataType::Int64 && index != DataType::Undefined)
    context.fail("indices must be int32 or int64");
  quantized::expect(context, kZeros, type);
  const DataType scale = context.type(kScales);
  if (scale != DataType::Undefined && !kReal.has(scale)) context.fail("scales must be float, float16 or bfloat16");
}

void infer(InferContext& context) {
  check(context);
  const DataType type = context.type(kScales);
  if (!context.has_shape(kData) || !context.has_shape(kIndices)) return context.out(0, type);
  Shape data = context.shape(kData);
  const int rank = data.rank();
  const int gather = normalize_axis(context, context.attributes().get_int("gather_axis", 0), rank);
  const int quantize = normalize_axis(context, context.attributes().get_int("quantize_axis", 1), rank);
  if (context.type(kData) == DataType::UInt8) {
    if (gather != 0) context.fail("with uint8 data gather_axis must be 0");
    const int64_t each = numbers_each(context.attributes(), DataType::UInt8);
    if (each > 1 && quantize == gather) context.fail("gather_axis and quantize_axis must differ");
    if (each > 1 && rank < 2) context.fail("packed data need two dimensions");
    if (each > 1) data.back() = context.symbols.mul(data.back(), each);
  }
  Shape shape;
  for (int i = 0; i < gather; ++i) shape.push_back(data[static_cast<size_t>(i)]);
  for (Dim dim : context.shape(kIndices)) shape.push_back(dim);
  for (int i = gather + 1; i < rank; ++i) shape.push_back(data[static_cast<size_t>(i)]);
  context.out(0, type, std::move(shape));
}

class GatherBlocks final : public Kernel {
 public:
  explicit GatherBlocks(const OpContext& context)
      : type_(context.type(kData)),
        scale_type_(context.type(kScales)),
        wide_index_(context.type(kIndices) == DataType::Int64),
        bits_(type_ == DataType::UInt8 ? context.attributes().get_int("bits", 4) : 8),
        has_zeros_(context.has_input(kZeros)),
        to_float_(find(type_, DataType::Float)),
        scale_to_float_(find(scale_type_, DataType::Float)) {
    Shape data = context.shape(kData);
    const int rank = data.rank();
    const int64_t each = numbers_each(context.attributes(), type_);
    data.back() *= each;
    const auto axis =
        static_cast<size_t>(normalize_axis(context.node, context.attributes().get_int("quantize_axis", 1), rank));
    const int gather = normalize_axis(context.node, context.attributes().get_int("gather_axis", 0), rank);
    const int64_t block = context.attributes().get_int("block_size", 128);
    block_ = block ? block : std::max<int64_t>(data[axis], 1);
    dims_ = data;
    axis_ = axis;
    outer_ = data.count(0, gather);
    size_ = data[static_cast<size_t>(gather)];
    inner_ = data.count(gather + 1, rank);
    indices_ = context.shape(kIndices).count();
    default_zero_ = type_ == DataType::UInt8 ? static_cast<float>(1 << (bits_ - 1)) : 0;
    read_scales(context);
    scales_ = context.shape(kScales).count();
    zeros_ = has_zeros_ ? context.shape(kZeros).count() * each : 0;
  }

  size_t workspace_bytes() const override { return align_up(bytes_of(scales_)) + align_up(bytes_of(zeros_)); }

  void run(const KernelArgs& args) const override {
    auto* const scales = reinterpret_cast<float*>(args.workspace);
    auto* const zeros = reinterpret_cast<float*>(args.workspace + align_up(bytes_of(scales_)));
    scale_to_float_(args.in<std::byte>(kScales), scales, scales_);
    if (has_zeros_) numbers(args.in<std::byte>(kZeros), 0, zeros_, zeros);
    const size_t item = element_size(scale_type_);
    args.parallel.range(outer_ * indices_, 1 + 8192 / std::max<int64_t>(1, inner_), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        std::byte* dst = args.out<std::byte>(0) + static_cast<size_t>(i * inner_) * item;
        const int64_t at = i % indices_;
        int64_t index = wide_index_ ? args.in<int64_t>(kIndices)[at] : args.in<int32_t>(kIndices)[at];
        if (index < 0 && index >= -size_) index += size_;
        if (index < 0 || index >= size_)
          std::fill(dst, dst + static_cast<size_t>(inner_) * item, std::byte{0});
        else
          row(args.in<std::byte>(kData), i / indices_ * size_ + index, scales, has_zeros_ ? zeros : nullptr, dst);
      }
    });
  }

 private:
  static constexpr int64_t kPiece = 256;

  static size_t bytes_of(int64_t count) { return static_cast<size_t>(count) * sizeof(float); }

  static kernels::Convert find(DataType from, DataType to) {
    const auto convert = kernels::Convert::find(from, to);
    if (!convert) not_implemented("GatherBlockQuantized of " + std::string(name(from)));
    return *convert;
  }

  // Strides of the scales along the axes of the data, 0 where they are broadcast.
  void read_scales(const OpContext& context) {
    const Shape& scales = context.shape(kScales);
    bool fits = scales.rank() == dims_.rank();
    const Shape contiguous = contiguous_strides(scales);
    for (size_t d = 0; fits && d < dims_.size(); ++d) {
      const int64_t want = d == axis_ ? (dims_[d] + block_ - 1) / block_ : dims_[d];
      const bool repeated = d != axis_ && scales[d] == 1 && kSmallFloats.has(type_);
      fits = scales[d] == want || repeated;
      strides_.push_back(scales[d] == want ? contiguous[d] : 0);
    }
    if (!fits)
      context.fail("the scales " + to_string(scales) + " do not fit the data " + to_string(dims_) + " in blocks of " +
                   std::to_string(block_));
    if (!has_zeros_) return;
    Shape zeros = context.shape(kZeros);
    if (zeros.rank() > 0) zeros.back() *= numbers_each(context.attributes(), type_);
    // Packed zero points of an odd number of blocks have room behind them.
    bool same = zeros.rank() == scales.rank() && zeros.back() - scales.back() < 8 && zeros.back() >= scales.back();
    for (size_t d = 0; same && d + 1 < scales.size(); ++d) same = zeros[d] == scales[d];
    if (!same) context.fail("zero_points do not fit the scales " + to_string(scales));
    zero_row_ = zeros.back();
    scale_row_ = scales.back();
  }

  // Numbers [first, first + count) of packed data.
  void numbers(const std::byte* data, int64_t first, int64_t count, float* dst) const {
    if (bits_ == 8) return to_float_(data + first, dst, count);
    const int64_t each = 8 / bits_;
    for (int64_t i = 0; i < count; ++i) {
      const auto byte = static_cast<unsigned>(data[(first + i) / each]);
      dst[i] = static_cast<float>((byte >> ((first + i) % each * bits_)) & ((1u << bits_) - 1));
    }
  }

  // The `inner_` numbers behind one index.
  void row(const std::byte* data, int64_t line, const float* scales, const float* zeros, std::byte* dst) const {
    float values[kPiece];
    const size_t item = element_size(scale_type_);
    for (int64_t at = 0; at < inner_; at += kPiece) {
      const int64_t count = std::min(kPiece, inner_ - at), first = line * inner_ + at;
      numbers(data, first, count, values);
      for (int64_t i = 0; i < count; ++i) {
        int64_t rest = first + i, scale = 0;
        for (size_t d = dims_.size(); d-- > 0; rest /= dims_[d]) {
          const int64_t place = rest % dims_[d];
          scale += (d == axis_ ? place / block_ : place) * strides_[d];
        }
        const float zero = zeros ? zeros[scale / scale_row_ * zero_row_ + scale % scale_row_] : default_zero_;
        values[i] = (values[i] - zero) * scales[scale];
      }
      std::byte* to = dst + static_cast<size_t>(at) * item;
      if (scale_type_ == DataType::Float)
        std::copy(values, values + count, reinterpret_cast<float*>(to));
      else
        kernels::narrow(scale_type_, values, to, count);
    }
  }

  DataType type_, scale_type_;
  bool wide_index_;
  int64_t bits_;
  bool has_zeros_;
  kernels::Convert to_float_, scale_to_float_;
  Shape dims_, strides_;
  size_t axis_ = 0;
  int64_t block_ = 1, outer_ = 0, size_ = 0, inner_ = 0, indices_ = 0, scales_ = 0, zeros_ = 0;
  int64_t zero_row_ = 1, scale_row_ = 1;
  float default_zero_ = 0;
};

std::unique_ptr<Kernel> prepare(const OpContext& context) { return std::make_unique<GatherBlocks>(context); }

constexpr Candidate kCandidates[] = {{.name = "rows", .prepare = prepare}};
constexpr OpDef kOps[] = {
    {.domain = "com.microsoft", .name = "GatherBlockQuantized", .infer = infer, .cpu = kCandidates, .types = kTypes}};

}  // namespace

std::span<const OpDef> gather_block_quantized_ops() { return kOps; }

}  // namespace fastort
