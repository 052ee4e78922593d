#include "cli/json_text.hpp"

#include <boost/json/serialize.hpp>

namespace kiseki::cli {
namespace {

namespace json = boost::json;

void write(std::string& out, const json::value& value, const std::string& margin);

template <class Items, class WriteItem>
void write_items(std::string& out, const Items& items, char open, char close, const std::string& margin,
                 WriteItem write_item) {
  out += open;
  bool first = true;
  for (const auto& item : items) {
    out += first ? "\n" : ",\n";
    out += margin + "  ";
    write_item(item);
    first = false;
  }
  if (!first) out += "\n" + margin;
  out += close;
}

void write(std::string& out, const json::value& value, const std::string& margin) {
  if (const auto* object = value.if_object()) {
    return write_items(out, *object, '{', '}', margin, [&](const json::key_value_pair& member) {
      out += json::serialize(json::string_view(member.key())) + ": ";
      write(out, member.value(), margin + "  ");
    });
  }
  if (const auto* array = value.if_array()) {
    return write_items(out, *array, '[', ']', margin,
                       [&](const json::value& item) { write(out, item, margin + "  "); });
  }
  out += json::serialize(value);
}

}  // namespace

std::string pretty_json(const json::value& value) {
  std::string out;
  write(out, value, "");
  return out + "\n";
}

}  // namespace kiseki::cli
