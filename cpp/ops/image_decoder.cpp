// ImageDecoder.
#include "kernels/image/decode.h"

#include "base/log.h"
#include "ops/core/move.h"

namespace fastort {
namespace {

constexpr TypeMask kBytes{DataType::UInt8};

kernels::PixelFormat format_of(const Node& node) {
  const std::string format = node.attributes.get_string("pixel_format", "RGB");
  if (format == "RGB") return kernels::PixelFormat::Rgb;
  if (format == "BGR") return kernels::PixelFormat::Bgr;
  if (format == "Grayscale") return kernels::PixelFormat::Grayscale;
  invalid_graph("pixel_format must be RGB, BGR or Grayscale, got '" + format + "'");
}

void infer(InferContext& context) {
  if (!kernels::can_decode_pictures()) {
    not_implemented(
        "ImageDecoder: this build of fastort has no image codecs; build it with the CMake option "
        "FASTORT_IMAGE_CODECS=ON");
  }
  if (context.has_shape(0) && context.shape(0).rank() != 1)
    context.fail("the encoded stream must have one dimension, got " + to_string(context.shape(0)));
  const Dim count = kernels::channels(format_of(context.node));
  context.out(0, DataType::UInt8, Shape{context.unknown(), context.unknown(), count});
}

std::unique_ptr<Kernel> prepare(const OpContext& context) {
  const kernels::PixelFormat format = format_of(context.node);
  return make_kernel([format, name = context.node.name](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Tensor& src = tensor_of(input, "ImageDecoder");
    const Dim count = kernels::channels(format);
    const auto allocate = [&](int64_t height, int64_t width) {
      return args.frame->allocate_output(0, DataType::UInt8, Shape{height, width, count}).data<uint8_t>();
    };
    try {
      kernels::Picture picture(format, allocate);
      kernels::decode_picture(src.span<uint8_t>(), picture);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::InvalidArgument) throw;
      // What the standard asks for where a file cannot be decoded is an empty picture; why is told to the log.
      args.frame->allocate_output(0, DataType::UInt8, Shape{0, 0, count});
      log(Severity::Warning,
          "ImageDecoder '" + name + "' returns an empty picture, because the file cannot be decoded: " + error.what());
    }
  });
}

constexpr Candidate kCandidates[] = {{"reference", nullptr, prepare}};

constexpr OpDef kOps[] = {{"", "ImageDecoder", infer, kCandidates, kBytes, kDynamic}};

}  // namespace

std::span<const OpDef> image_decoder_ops() { return kOps; }

}  // namespace fastort
