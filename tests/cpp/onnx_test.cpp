#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "folder.h"
#include "onnx/load.h"
#include "onnx/save.h"
#include "onnx/tensor_proto.h"
#include "onnx/wire_scan.h"

using namespace fastort;

namespace {

// Serialized protobuf messages, field by field; the numbers are those of onnx-ml.proto.
class Message {
 public:
  Message& number(int field, int64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& text(int field, const std::string& value) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& real(int field, float value) {
    varint(static_cast<uint64_t>(field) << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Message& add(int field, const Message& message) { return text(field, message.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

Message tensor_type(int element, const std::vector<int64_t>& dims) {
  Message shape;
  for (const int64_t dim : dims) shape.add(1, Message().number(1, dim));
  return Message().add(1, Message().number(1, element).add(2, shape));
}
Message value_info(const std::string& name, const Message& type) { return Message().text(1, name).add(2, type); }
Message floats(const std::string& name, const std::vector<int64_t>& dims, const std::vector<float>& items) {
  Message tensor;
  for (const int64_t dim : dims) tensor.number(1, dim);
  const std::string raw(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(float));
  return tensor.number(2, 1).text(8, name).text(9, raw);
}
Message node(const std::string& op, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
             const std::vector<Message>& attributes = {}, const std::string& domain = "") {
  Message message;
  for (const std::string& input : inputs) message.text(1, input);
  for (const std::string& output : outputs) message.text(2, output);
  message.text(3, op + "_node").text(4, op);
  for (const Message& attribute : attributes) message.add(5, attribute);
  if (!domain.empty()) message.text(7, domain);
  return message;
}
Message int_attribute(const std::string& name, int64_t value) {
  return Message().text(1, name).number(20, 2).number(3, value);
}
Message ints_attribute(const std::string& name, const std::vector<int64_t>& values) {
  Message message = Message().text(1, name).number(20, 7);
  for (const int64_t value : values) message.number(8, value);
  return message;
}
Message float_attribute(const std::string& name, float value) {
  return Message().text(1, name).number(20, 1).real(2, value);
}
Message graph_attribute(const std::string& name, const Message& graph) {
  return Message().text(1, name).number(20, 5).add(6, graph);
}
Message opset(const std::string& domain, int version) { return Message().text(1, domain).number(2, version); }
Message model(const Message& graph, int version = 17) {
  return Message().number(1, 8).add(7, graph).add(8, opset("", version));
}
// x: float[2,3,4] -> y
Message graph_of(const std::vector<Message>& nodes, const std::vector<Message>& initializers = {}) {
  Message graph;
  for (const Message& item : nodes) graph.add(1, item);
  graph.text(2, "g");
  for (const Message& item : initializers) graph.add(5, item);
  return graph.add(11, value_info("x", tensor_type(1, {2, 3, 4}))).add(12, value_info("y", tensor_type(1, {})));
}

std::span<const std::byte> as_bytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
Model load(const Message& message, const LoadOptions& options = {}) {
  Model loaded = load_model_bytes(as_bytes(message.bytes()), nullptr, options);
  verify(*loaded.graph);
  return loaded;
}
ErrorCode code_of(const std::string& bytes, const LoadOptions& options = {}) {
  try {
    load_model_bytes(as_bytes(bytes), nullptr, options);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{};
}
std::vector<std::string> ops(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& item : graph.nodes) names.push_back(item.op_type);
  return names;
}
// The operators that a model of one node becomes.
std::vector<std::string> lifted(int version, const Message& item, const std::vector<Message>& initializers = {}) {
  return ops(*load(model(graph_of({item}, initializers), version)).graph);
}
using Ops = std::vector<std::string>;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string trained_model() {
  // Trained models lie beside the checkout.
  const std::filesystem::path repository = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
  const std::filesystem::path path = repository.parent_path() / "shared" / "models" / "mnist.onnx";
  if (std::filesystem::exists(path)) return read_file(path);
  MESSAGE("mnist.onnx is not here: a built model takes its place");
  std::vector<Message> nodes = {node("Mul", {"x", "w"}, {"a"}), node("Softmax", {"a"}, {"b"}),
                                node("ReduceSum", {"b"}, {"y"}, {ints_attribute("axes", {1})})};
  return model(graph_of(nodes, {floats("w", {4}, {1, 2, 3, 4})}), 11).bytes();
}

size_t peak_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

TEST_CASE("wire scan takes large payloads out and keeps small ones") {
  const std::vector<float> large(4096, 1.5f);
  const Message message =
      model(graph_of({node("Relu", {"x"}, {"y"})}, {floats("small", {1}, {7}), floats("large", {4096}, large)}));
  const StrippedModel stripped = strip_payloads(as_bytes(message.bytes()));
  REQUIRE(stripped.payloads.size() == 1);
  CHECK(stripped.payloads[0].initializer == 1);
  CHECK(stripped.payloads[0].bytes == large.size() * sizeof(float));
  CHECK(std::memcmp(message.bytes().data() + stripped.payloads[0].offset, large.data(), 64) == 0);
  CHECK(stripped.proto.size() < 400);
}

TEST_CASE("weights of a lent buffer are viewed where they are aligned, copied otherwise") {
  const std::vector<float> large(4096, 1.5f);
  const std::string bytes = model(graph_of({node("Relu", {"x"}, {"y"})}, {floats("large", {4096}, large)})).bytes();
  const size_t payload = strip_payloads(as_bytes(bytes)).payloads[0].offset;
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string shifted = std::string(shift, ' ') + bytes;
    const auto buffer = Buffer::wrap(shifted.data(), shifted.size(), [] {});
    const Model loaded = load_model_bytes(as_bytes(shifted).subspan(shift), buffer);
    const Tensor* weight = loaded.graph->constant(loaded.graph->find("large"));
    REQUIRE(weight != nullptr);
    const bool aligned = reinterpret_cast<uintptr_t>(shifted.data() + shift + payload) % sizeof(float) == 0;
    const auto* inside = reinterpret_cast<const std::byte*>(shifted.data()) + shift + payload;
    CHECK((weight->raw() == inside) == aligned);
    CHECK(weight->span<float>()[4095] == 1.5f);
  }
}

TEST_CASE("a truncated model gives an error, never a crash") {
  const std::string whole = trained_model();
  for (int i = 0; i < 200; ++i) {
    const std::string part = whole.substr(0, whole.size() * static_cast<size_t>(i) / 200);
    CHECK_THROWS_AS(load_model_bytes(as_bytes(part), nullptr), Error);
  }
}

TEST_CASE("random byte flips give an error or a valid graph, in bounded memory") {
  const std::string whole = trained_model();
  [[maybe_unused]] const size_t before = peak_bytes();
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string flipped = whole;
    flipped[random() % flipped.size()] ^= static_cast<char>(1 + random() % 255);
    try {
      verify(*load_model_bytes(as_bytes(flipped), nullptr).graph);
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 0);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory for a while
  CHECK(peak_bytes() - before < (size_t{64} << 20) + 2 * whole.size());
#endif
}

TEST_CASE("bad models have ONNX Runtime's error classes") {
  CHECK(code_of("") == ErrorCode::InvalidArgument);
  CHECK(code_of("garbage garbage") == ErrorCode::InvalidProtobuf);
  CHECK_THROWS_AS(load_model_file("/no/such/file.onnx"), Error);
  const auto code = [](const std::vector<Message>& nodes) { return code_of(model(graph_of(nodes)).bytes()); };
  CHECK(code({node("Foo", {"x"}, {"y"})}) == ErrorCode::InvalidGraph);
  CHECK(code({node("LeakyRelu", {"x"}, {"y"}, {int_attribute("alpha", 1)})}) == ErrorCode::InvalidGraph);
  CHECK(code({node("Relu", {"x"}, {"y"}, {int_attribute("foo", 1)})}) == ErrorCode::InvalidGraph);
  CHECK(code({node("Add", {"x"}, {"y"})}) == ErrorCode::InvalidGraph);
  CHECK(code({node("Add", {"x", "nobody"}, {"y"})}) == ErrorCode::InvalidArgument);
  CHECK(code({node("Add", {"x", "b"}, {"a"}), node("Relu", {"a"}, {"b"}), node("Relu", {"x"}, {"y"})}) ==
        ErrorCode::Fail);
  CHECK(code({node("Relu", {"x"}, {"y"}), node("Relu", {"x"}, {"y"})}) == ErrorCode::Fail);
  CHECK(code_of(model(graph_of({node("Add", {"x", "w"}, {"y"})}, {floats("w", {4}, {1, 2, 3})})).bytes()) ==
        ErrorCode::Fail);
  CHECK(code_of(model(graph_of({node("Add", {"x", "w"}, {"y"})}, {floats("w", {-4}, {1, 2, 3})})).bytes()) ==
        ErrorCode::Fail);
  const int64_t huge = int64_t{1} << 40;
  CHECK(code_of(model(graph_of({node("Add", {"x", "w"}, {"y"})}, {floats("w", {huge, huge}, {1})})).bytes()) ==
        ErrorCode::Fail);
}

TEST_CASE("nodes out of order are sorted") {
  CHECK(ops(*load(model(graph_of({node("Relu", {"a"}, {"y"}), node("Abs", {"x"}, {"a"})}))).graph) ==
        Ops{"Abs", "Relu"});
}

TEST_CASE("external data is mapped, checked and kept inside the folder") {
  const Folder scratch("external"), elsewhere("external-target");
  const std::filesystem::path& folder = scratch.path;
  std::filesystem::create_directories(folder);
  std::filesystem::create_directories(elsewhere.path);
  std::ofstream(folder / "w.bin", std::ios::binary) << std::string(8, '\0') << std::string("\0\0\x80\x3f", 4);
  const auto load_with = [&](const std::string& location, int offset) {
    const auto entry = [](const std::string& key, const std::string& value) {
      return Message().text(1, key).text(2, value);
    };
    Message tensor = Message().number(1, 1).number(2, 1).text(8, "w").number(14, 1);
    tensor.add(13, entry("location", location)).add(13, entry("offset", std::to_string(offset)));
    const std::string bytes = model(graph_of({node("Add", {"x", "w"}, {"y"})}, {tensor})).bytes();
    std::ofstream(folder / "m.onnx", std::ios::binary) << bytes;
    const Model loaded = load_model_file((folder / "m.onnx").string());
    return *loaded.graph->constant(loaded.graph->find("w"))->data<float>();
  };
  CHECK(load_with("w.bin", 8) == 1.0f);
  CHECK_THROWS_WITH_AS(load_with("w.bin", 12), doctest::Contains("has only 12 bytes"), Error);
  CHECK_THROWS_WITH_AS(load_with("../w.bin", 0), doctest::Contains("leaves the model's folder"), Error);
  CHECK_THROWS_WITH_AS(load_with("a/../../w.bin", 0), doctest::Contains("leaves the model's folder"), Error);
  CHECK_THROWS_WITH_AS(load_with("/etc/passwd", 0), doctest::Contains("absolute path"), Error);
  CHECK_THROWS_WITH_AS(load_with("none.bin", 0), doctest::Contains("does not exist"), Error);
  const std::filesystem::path blob = elsewhere.path / "blob";
  std::filesystem::copy_file(folder / "w.bin", blob);
  std::filesystem::create_symlink(blob, folder / "link.bin");
  CHECK(load_with("link.bin", 8) == 1.0f);
}

TEST_CASE("bodies are closed: captures are the last inputs of every body, in one order") {
  const auto branch = [](const std::vector<Message>& nodes, const std::string& output) {
    Message graph;
    for (const Message& item : nodes) graph.add(1, item);
    return graph.text(2, "body").add(12, value_info(output, tensor_type(1, {})));
  };
  const Message inner = branch({node("Mul", {"a", "b"}, {"r"})}, "r");
  const Message nested = branch({node("If", {"c"}, {"r"},
                                      {graph_attribute("then_branch", inner),
                                       graph_attribute("else_branch", branch({node("Abs", {"x"}, {"r"})}, "r"))})},
                                "r");
  const Message other = branch({node("Add", {"b", "w"}, {"r"})}, "r");
  Message graph = graph_of(
      {node("Relu", {"x"}, {"a"}), node("Neg", {"x"}, {"b"}), node("Cast", {"w"}, {"c"}, {int_attribute("to", 9)}),
       node("If", {"c"}, {"y"}, {graph_attribute("then_branch", nested), graph_attribute("else_branch", other)})},
      {floats("w", {}, {1})});
  const Model loaded = load(model(graph));
  const Node& branching = loaded.graph->nodes.back();
  REQUIRE(branching.op_type == "If");
  CHECK(branching.num_inputs() == 1);
  REQUIRE(branching.captures == 4);  // c, a, b, x; the constant w is copied into the body
  const Graph& then_body = *branching.attributes.get_graph("then_branch");
  const Graph& else_body = *branching.attributes.get_graph("else_branch");
  REQUIRE(then_body.inputs.size() == 4);
  REQUIRE(else_body.inputs.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    const std::string outer = loaded.graph->value(branching.inputs[1 + i]).name;
    CHECK(then_body.value(then_body.inputs[i]).name == outer);
    CHECK(else_body.value(else_body.inputs[i]).name == outer);
  }
  CHECK(then_body.nodes[0].captures == 3);
  CHECK(else_body.constant(else_body.nodes[0].inputs[1]) != nullptr);

  const std::string saved = save_model_bytes(loaded);
  const Model again = load_model_bytes(as_bytes(saved), nullptr);
  verify(*again.graph);
  CHECK(ops(*again.graph) == ops(*loaded.graph));
  CHECK(again.graph->nodes.back().captures == 4);
}

TEST_CASE("functions are expanded with their attributes; a cycle is refused") {
  const Message alpha = Message().text(1, "alpha").number(20, 1).text(21, "slope");
  const auto function = [&](const Message& body) {
    return Message()
        .text(1, "F")
        .text(4, "a")
        .text(4, "b")
        .text(5, "r")
        .add(11, float_attribute("slope", 0.25f))
        .add(7, body)
        .add(9, opset("", 17))
        .add(9, opset("local", 1))
        .text(10, "local");
  };
  const Message body = node("LeakyRelu", {"a"}, {"r"}, {alpha});
  const auto with = [&](const Message& call, const Message& definition) {
    return model(graph_of({call})).add(8, opset("local", 1)).add(25, definition);
  };
  Model loaded = load(with(node("F", {"x"}, {"y"}, {}, "local"), function(body)));
  REQUIRE(ops(*loaded.graph) == Ops{"LeakyRelu"});
  CHECK(loaded.graph->nodes[0].attributes.get_float("alpha", 0) == 0.25f);
  CHECK(loaded.graph->value(loaded.graph->nodes[0].outputs[0]).name == "y");
  loaded = load(with(node("F", {"x"}, {"y"}, {float_attribute("slope", 0.5f)}, "local"), function(body)));
  CHECK(loaded.graph->nodes[0].attributes.get_float("alpha", 0) == 0.5f);
  const Message recursive = function(node("F", {"a"}, {"r"}, {}, "local"));
  CHECK(code_of(with(node("F", {"x"}, {"y"}, {}, "local"), recursive).bytes()) == ErrorCode::InvalidGraph);
}

TEST_CASE("an operator that the engine lacks becomes its ONNX function body, or is refused") {
  LoadOptions options;
  options.has_op = [](std::string_view, std::string_view op) { return op != "HardSwish" && op != "Conv"; };
  const Model loaded = load(model(graph_of({node("HardSwish", {"x"}, {"y"})})), options);
  CHECK(ops(*loaded.graph) == Ops{"HardSigmoid", "Mul"});
  CHECK(code_of(model(graph_of({node("Conv", {"x", "x"}, {"y"})})).bytes(), options) == ErrorCode::NotImplemented);
}

TEST_CASE("old operators are lifted") {
  CHECK(lifted(11, node("ReduceSum", {"x"}, {"y"}, {ints_attribute("axes", {1})})) == Ops{"ReduceSum"});
  const Model reduce = load(model(graph_of({node("ReduceMean", {"x"}, {"y"}, {ints_attribute("axes", {1, 2})})}), 17));
  CHECK(to_int64s(*reduce.graph->constant(reduce.graph->nodes[0].inputs.at(1))).size() == 2);
  CHECK(reduce.graph->nodes[0].attributes.size() == 0);

  CHECK(lifted(11, node("Softmax", {"x"}, {"y"}, {int_attribute("axis", 2)})) == Ops{"Softmax"});
  CHECK(lifted(11, node("Softmax", {"x"}, {"y"})) == Ops{"Flatten", "Softmax", "Shape", "Reshape"});
  CHECK(lifted(13, node("Softmax", {"x"}, {"y"})) == Ops{"Softmax"});
  CHECK(lifted(9, node("Clip", {"x"}, {"y"}, {float_attribute("min", 0)})) == Ops{"Clip"});
  CHECK(lifted(9, node("Upsample", {"x", "s"}, {"y"}), {floats("s", {3}, {1, 2, 2})}) == Ops{"Resize"});
  const std::vector<Message> scatter = {node("Cast", {"x"}, {"i"}, {int_attribute("to", 7)}),
                                        node("Scatter", {"x", "i", "x"}, {"y"})};
  CHECK(ops(*load(model(graph_of(scatter), 9)).graph) == Ops{"Cast", "ScatterElements"});
  CHECK(lifted(6, node("Add", {"x", "b"}, {"y"}, {int_attribute("broadcast", 1), int_attribute("axis", 1)}),
               {floats("b", {3}, {1, 2, 3})}) == Ops{"Unsqueeze", "Add"});
  CHECK(lifted(12, node("Dropout", {"x"}, {"y"})) == Ops{"Dropout"});
  CHECK(lifted(8, node("BatchNormalization", {"x", "x", "x", "x", "x"}, {"y"}, {int_attribute("spatial", 0)})) ==
        Ops{"Add", "Sqrt", "Sub", "Div", "Mul", "Add"});
  CHECK(lifted(1, node("Constant", {}, {"y"},
                       {Message().text(1, "value").number(20, 4).add(5, floats("", {1}, {1}))})) == Ops{});
}

TEST_CASE("tensors are read back as they were written") {
  for (int type = 1; type < kDataTypes; ++type) {
    const auto element = static_cast<DataType>(type);
    Tensor tensor(element, Shape{3});
    const int bits = packed_bits(element);
    for (size_t i = 0; element != DataType::String && i < tensor.bytes(); ++i)
      tensor.raw()[i] = static_cast<std::byte>(element == DataType::Bool ? i % 2 : bits == 2 ? i % 2 : i);
    if (element == DataType::String) tensor.data<std::string>()[1] = "text";
    std::string name;
    const Tensor back = parse_tensor_proto(as_bytes(serialize_tensor_proto(tensor, "t")), &name);
    CHECK(name == "t");
    REQUIRE(describe(back) == describe(tensor));
    if (element == DataType::String)
      CHECK(back.strings()[1] == "text");
    else
      CHECK(std::memcmp(back.raw(), tensor.raw(), tensor.bytes()) == 0);
  }
}

TEST_CASE("types narrower than a byte are unpacked with their sign") {
  // int4 [-8, 7, -1] and uint2 [3, 0, 2], first item in the lowest bits.
  const auto packed = [](int type, const std::string& raw) {
    const Message proto = Message().number(1, 3).number(2, type).text(9, raw);
    return parse_tensor_proto(as_bytes(proto.bytes()));
  };
  const Tensor int4 = packed(22, "\x78\x0f");
  CHECK(std::vector<int>(int4.data<int8_t>(), int4.data<int8_t>() + 3) == std::vector<int>{-8, 7, -1});
  const Tensor uint2 = packed(25, "\x23");
  CHECK(std::vector<int>(uint2.data<uint8_t>(), uint2.data<uint8_t>() + 3) == std::vector<int>{3, 0, 2});
  // float6 [0x21, 0x3e, 0x15]: a stream of 18 bits, whose items cross the bytes.
  const Tensor float6 = packed(27, "\xa1\x5f\x01");
  CHECK(std::vector<int>(float6.data<uint8_t>(), float6.data<uint8_t>() + 3) == std::vector<int>{0x21, 0x3e, 0x15});
  CHECK(serialize_tensor_proto(float6, "t").find("\xa1\x5f\x01") != std::string::npos);
}
