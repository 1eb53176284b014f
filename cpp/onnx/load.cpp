#include "onnx/load.h"

#include <filesystem>
#include <limits>

#include <onnx/onnx_pb.h>

#include "base/error.h"
#include "onnx/importer.h"
#include "onnx/mapped_file.h"
#include "onnx/schemas.h"
#include "onnx/text.h"
#include "onnx/wire_scan.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

ModelInfo read_info(const onnx::ModelProto& proto) {
  ModelInfo info;
  info.ir_version = proto.ir_version();
  info.producer_name = clean_utf8(proto.producer_name());
  info.producer_version = clean_utf8(proto.producer_version());
  info.domain = clean_utf8(proto.domain());
  info.doc_string = clean_utf8(proto.doc_string());
  info.graph_name = clean_utf8(proto.graph().name());
  info.graph_doc_string = clean_utf8(proto.graph().doc_string());
  info.model_version = proto.model_version();
  for (const auto& entry : proto.metadata_props()) info.metadata[clean_utf8(entry.key())] = clean_utf8(entry.value());
  return info;
}

void read_opsets(const onnx::ModelProto& proto, ModelInfo& info) {
  if (!proto.has_ir_version()) fail(ErrorCode::Fail, "Missing model IR version.");
  if (proto.ir_version() < 1)
    fail(ErrorCode::Fail, "The model's IR version " + std::to_string(proto.ir_version()) + " is invalid.");
  for (const auto& import : proto.opset_import()) {
    const std::string domain = canonical_domain(clean_utf8(import.domain()));
    if (import.version() < 1)
      fail(ErrorCode::Fail, "The model imports the invalid version " + std::to_string(import.version()) +
                                " of domain '" + domain + "'.");
    info.opsets[domain] = import.version();
  }
  if (info.opsets.empty()) {
    // Opsets came with IR 3; models before that are of the first one.
    if (proto.ir_version() >= 3)
      fail(ErrorCode::Fail,
           "Missing opset in the model. All ModelProtos MUST have at least one entry that specifies which version of "
           "the ONNX OperatorSet is being imported.");
    info.opsets[""] = 1;
  }
}

void warn_of_newer(ModelInfo& info) {
  if (info.ir_version > onnx::Version::IR_VERSION)
    info.warnings.push_back("The model has IR version " + std::to_string(info.ir_version) +
                            ", which is newer than the newest known one, " + std::to_string(onnx::Version::IR_VERSION) +
                            "; it is read with the meaning of that one.");
  for (const auto& [domain, version] : info.opsets) {
    const int newest = newest_opset(domain);
    if (newest == 0 || version <= newest) continue;
    info.warnings.push_back("The model uses opset " + std::to_string(version) + " of domain '" +
                            (domain.empty() ? "ai.onnx" : domain) + "', which is newer than the newest known one, " +
                            std::to_string(newest) + "; its operators are read with the meaning of that one.");
  }
}

void parse(const std::string& bytes, onnx::ModelProto& proto) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    fail(ErrorCode::InvalidProtobuf, "Protobuf parsing failed: what the model holds beside its weights exceeds 2 GB.");
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    fail(ErrorCode::InvalidProtobuf, "Protobuf parsing failed.");
}

Model load(std::span<const std::byte> bytes, const std::shared_ptr<Buffer>& keep_alive, const LoadOptions& options,
           const std::string& folder) {
  const ReadScope scope;
  constexpr std::string_view kPointer = "version https://git-lfs";
  if (std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with(kPointer))
    fail(ErrorCode::InvalidProtobuf,
         "Protobuf parsing failed. This is Git LFS's pointer to a model; `git lfs pull` fetches the model itself.");
  StrippedModel stripped = strip_payloads(bytes);
  onnx::ModelProto proto;
  parse(stripped.proto, proto);
  stripped.proto = {};
  if (!proto.has_graph()) invalid_argument("No graph was found in the protobuf.");

  Model model;
  model.info = read_info(proto);
  read_opsets(proto, model.info);
  warn_of_newer(model.info);
  std::unordered_map<size_t, RawData> payloads;
  for (const Payload& payload : stripped.payloads)
    payloads[payload.initializer] = {bytes.subspan(payload.offset, payload.bytes), keep_alive};
  ExternalFiles files(folder, options.external_files);
  Importer importer(proto, options, files, std::move(payloads), model.info);
  model.graph = importer.import_main();
  return model;
}

// Runs `work`; whatever it throws becomes an Error that can be shown.
template <class Work>
Model guarded(const std::string& prefix, Work work) {
  try {
    return work();
  } catch (const Error& error) {
    const std::string_view what = error.what();
    if (error.code() == ErrorCode::InvalidProtobuf && prefix.empty())
      fail(error.code(),
           "Failed to load model because protobuf parsing failed. These bytes are no ONNX model, or only "
           "a part of one.");
    if (error.code() == ErrorCode::InvalidProtobuf && what == "Protobuf parsing failed.")
      fail(error.code(), clean_utf8(prefix + error.what()) + " It holds no ONNX model, or only a part of one.");
    fail(error.code(), clean_utf8(prefix + error.what()));
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::Fail, clean_utf8(prefix) + "Out of memory.");
  } catch (const std::exception& error) {
    fail(ErrorCode::Fail, clean_utf8(prefix + error.what()));
  }
}

}  // namespace

Model load_model_file(const std::string& path, const LoadOptions& options) {
  return guarded("Load model from " + path + " failed:", [&] {
    const std::shared_ptr<Buffer> file = map_file(path);
    const std::string folder = std::filesystem::path(path).parent_path().string();
    return load({file->data(), file->bytes()}, file, options, folder);
  });
}

Model load_model_bytes(std::span<const std::byte> bytes, std::shared_ptr<Buffer> keep_alive, const LoadOptions& options,
                       const std::string& base_folder) {
  return guarded("", [&] {
    std::shared_ptr<Buffer> held;
    if (keep_alive)
      held = Buffer::wrap(const_cast<std::byte*>(bytes.data()), bytes.size(), [keep = std::move(keep_alive)] {});
    return load(bytes, held, options, base_folder);
  });
}

}  // namespace fastort
