#include <cstdio>

#include "graph/graph.h"

namespace fastort {
namespace {

constexpr size_t kMaxItems = 8;

std::string number(float value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", static_cast<double>(value));
  return text;
}

std::string item_text(int64_t item) { return std::to_string(item); }
std::string item_text(float item) { return number(item); }
std::string item_text(const std::string& item) { return '"' + item + '"'; }
std::string item_text(const Tensor& item) { return describe(item); }

template <class T>
std::string list_text(const std::vector<T>& items) {
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += ',';
    if (i == kMaxItems) {
      text += "...";
      break;
    }
    text += item_text(items[i]);
  }
  return text + ']';
}

struct AttributeText {
  std::string operator()(const std::shared_ptr<Graph>& body) const { return body ? "{...}" : "{}"; }
  std::string operator()(const std::shared_ptr<const SparseTensor>&) const { return "sparse"; }
  std::string operator()(const ValueType& type) const { return type_string(type); }
  template <class T>
  std::string operator()(const std::vector<T>& items) const {
    return list_text(items);
  }
  template <class T>
  std::string operator()(const T& item) const {
    return item_text(item);
  }
};

std::string value_text(const Graph& graph, ValueId id) {
  return id == kNoValue ? "-" : "%" + std::to_string(id) + " '" + graph.value(id).name + "'";
}

std::string typed_text(const Graph& graph, ValueId id) {
  if (id == kNoValue) return "-";
  return value_text(graph, id) + ": " + describe(graph.value(id).type, *graph.symbols);
}

template <class F>
std::string joined(const std::vector<ValueId>& ids, F&& text) {
  std::string all;
  for (size_t i = 0; i < ids.size(); ++i) all += (i > 0 ? ", " : "") + text(ids[i]);
  return all;
}

void print_graph(const Graph& graph, const std::string& indent, std::string& out) {
  const auto typed = [&](ValueId id) { return typed_text(graph, id); };
  const auto plain = [&](ValueId id) { return value_text(graph, id); };
  out += indent + "graph '" + graph.name + "' (" + joined(graph.inputs, typed) + ")\n";
  for (size_t i = 0; i < graph.values.size(); ++i)
    if (graph.values[i].constant) out += indent + "  constant " + typed(static_cast<ValueId>(i)) + "\n";
  for (const Node& node : graph.nodes) {
    out += indent + "  " + joined(node.outputs, typed) + " = " + (node.domain.empty() ? "" : node.domain + "::") +
           node.op_type + "(" + joined(node.inputs, plain) + ")";
    std::string attributes;
    for (const auto& [name, value] : node.attributes)
      attributes += (attributes.empty() ? "" : ", ") + name + "=" + std::visit(AttributeText{}, value);
    if (!attributes.empty()) out += " {" + attributes + "}";
    if (!node.name.empty()) out += "  # " + node.name;
    out += '\n';
    for (const auto& [name, value] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&value); body != nullptr && *body != nullptr) {
        out += indent + "    " + name + ":\n";
        print_graph(**body, indent + "    ", out);
      }
  }
  out += indent + "  return " + joined(graph.outputs, typed) + "\n";
}

}  // namespace

std::string print(const Graph& graph) {
  std::string out;
  print_graph(graph, "", out);
  return out;
}

std::string describe(const Node& node) {
  const std::string& name = node.name.empty() ? node.origin.node_name : node.name;
  const std::string type = node.domain.empty() ? node.op_type : node.domain + "." + node.op_type;
  return type + " node" + (name.empty() ? "" : " '" + name + "'");
}

std::string describe(const Graph& graph, const Node& node) {
  for (ValueId id : node.outputs)
    if (id >= 0 && static_cast<size_t>(id) < graph.values.size())
      return describe(node) + " (output '" + graph.value(id).name + "')";
  return describe(node);
}

std::string describe(const ValueType& type, const SymbolTable& symbols) {
  if (!type.is_tensor()) return type_string(type);
  return std::string(name(type.element)) + (type.has_shape ? to_string(type.shape, symbols) : "[...]");
}

}  // namespace fastort
