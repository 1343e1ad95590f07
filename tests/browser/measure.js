// Run in the page by test_looks.py: colours that are seen, as contrast ratios.
() => {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((part, i) => part * a + under[i] * (1 - a));
  const luminance = (colour) => {
    const [r, g, b] = colour.map((part) => {
      const s = part / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const token = (name) => rgba(getComputedStyle(document.documentElement).getPropertyValue(name)).slice(0, 3);
  const texts = [];
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility({ visibilityProperty: true }) || node.closest(".unseen, .skip, noscript, svg")) continue;
    const colour = rgba(getComputedStyle(node).color);
    // What stands over the map may stand over floor or rock.
    const free = node.closest(".place, .legend");
    const grounds = free ? [token("--map-floor"), token("--map-rock")] : [ground(node)];
    for (const under of grounds) {
      texts.push([node.className || node.id || node.tagName, node.textContent.trim().slice(0, 30), ratio(over(colour, under), under)]);
    }
  }
  const pairs = {};
  for (const pair of [
    ["outline", "floor"], ["outline", "rock"], ["blocked", "floor"], ["blocked", "label-halo"], ["spent", "rock"],
    ["ring", "floor"], ["target", "floor"], ["edge", "floor"], ["npc", "npc-ink"],
  ]) {
    pairs[pair.join("/")] = ratio(token(`--map-${pair[0]}`), token(`--map-${pair[1]}`));
  }
  pairs["label/label-halo"] = ratio(token("--map-label"), token("--map-label-halo"));
  pairs["gold-ink/gold"] = ratio(token("--map-gold-ink"), token("--map-gold"));
  pairs["line-strong/surface"] = ratio(token("--line-strong"), token("--surface"));
  pairs["accent/surface"] = ratio(token("--accent"), token("--surface"));
  for (const node of document.querySelectorAll(".time-mark, .time-thumb, .time-live-mark")) {
    const under = ground(node.parentElement);
    pairs[`${node.className}/bar`] = ratio(over(rgba(getComputedStyle(node).backgroundColor), under), under);
  }
  return { texts, pairs };
}
