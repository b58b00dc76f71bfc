// What every page of the console needs beside unfold's own scripts: reach by keyboard, names for screen readers, local times.
"use strict";

(() => {
  const CLICKABLE = "[x-on\\:click]:not(a[href]):not(button):not(input):not(select):not(textarea):not(label):not([tabindex])";
  const NAMES = {
    dock_to_right: "Show or hide the navigation",
    close: "Close",
    filter_list: "Filters",
    search: "Search",
    unfold_more: "User menu",
    favorite: "Favourite",
    more_vert: "More actions",
    more_horiz: "More actions",
    chevron_right: "",
  };
  // Panes that only close what is above them when they are clicked: Escape does the same.
  const BACKDROPS = "#changelist-filter-close, [x-on\\:click\\.self]";

  const named = (element) =>
    element.getAttribute("aria-label") || element.getAttribute("title") || textWithoutIcons(element);

  const textWithoutIcons = (element) => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll(".material-symbols-outlined").forEach((icon) => icon.remove());
    return copy.classList.contains("material-symbols-outlined") ? "" : copy.textContent.trim();
  };

  const iconOf = (element) => {
    const icon = element.classList.contains("material-symbols-outlined")
      ? element
      : element.querySelector(".material-symbols-outlined");
    return icon ? icon.textContent.trim() : "";
  };

  function makeReachable(root) {
    root.querySelectorAll(".material-symbols-outlined").forEach((icon) => {
      if (!icon.matches("a, button, [x-on\\:click]")) icon.setAttribute("aria-hidden", "true");
    });
    root.querySelectorAll(CLICKABLE).forEach((element) => {
      if (element.matches(BACKDROPS)) return;
      element.tabIndex = 0;
      element.setAttribute("role", "button");
    });
    root.querySelectorAll("a[href], button, [role=button]").forEach((element) => {
      if (!named(element)) {
        const name = NAMES[iconOf(element)] ?? iconOf(element).replaceAll("_", " ");
        if (name) element.setAttribute("aria-label", name);
      }
    });
    root.querySelectorAll("select, input:not([type=hidden]), textarea").forEach((field) => {
      if (field.labels?.length || field.getAttribute("aria-label") || field.getAttribute("aria-labelledby")) return;
      const name = field.closest("[data-label]")?.dataset.label || labelNear(field);
      if (name) field.setAttribute("aria-label", name);
    });
  }

  // Search fields are select2's, which names them after what is chosen: nothing, as long as nothing is.
  function nameSearchFields(root) {
    root.querySelectorAll(".select2-selection[role=combobox]").forEach((box) => {
      const select = box.closest(".select2")?.previousElementSibling;
      if (!select?.matches("select") || box.getAttribute("aria-label")) return;
      const label = select.labels?.[0]?.textContent.trim() || select.getAttribute("aria-label") || labelNear(select);
      box.setAttribute("aria-label", label);
      const chosen = box.querySelector(".select2-selection__rendered");
      if (chosen) {
        box.removeAttribute("aria-labelledby");
        box.setAttribute("aria-describedby", chosen.id);
        chosen.removeAttribute("role");
        chosen.removeAttribute("aria-readonly");
      }
    });
  }

  // A field of a filter or an inline row has its name above it: as the column's head or the filter's title.
  function labelNear(field) {
    const cell = field.closest("td");
    if (cell) {
      const head = cell.closest("table")?.querySelectorAll("thead th")[cell.cellIndex];
      if (head?.textContent.trim()) return head.textContent.trim();
      if (cell.classList.contains("action-checkbox")) return "Select this row";
    }
    if (field.id === "action-toggle") return "Select all rows";
    const titled = field.closest("#changelist-filter .flex-col, .flex")?.querySelector("h3, h2, label, summary");
    return titled?.textContent.trim() || field.placeholder || (field.name || "").replaceAll("_", " ");
  }

  // Lists and fields that are shown only have times in UTC, as text.
  const MOMENT = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)$/;

  function markTimes(root) {
    root.querySelectorAll("#result_list :is(td, th), .readonly").forEach((cell) => {
      let element = cell;
      while (element.children.length === 1 && element.textContent.trim() === element.firstElementChild.textContent.trim()) {
        element = element.firstElementChild;
      }
      const moment = MOMENT.exec(element.textContent.trim());
      if (!moment || element.matches("time, input, textarea")) return;
      const time = document.createElement("time");
      time.dateTime = `${moment[1]}T${moment[2]}Z`;
      time.dataset.local = "";
      element.replaceChildren(time);
    });
  }

  function showLocalTimes(root) {
    markTimes(root);
    root.querySelectorAll("time[data-local]").forEach((element) => {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) return;
      element.title = `${element.dateTime.replace("T", " ").slice(0, 19)} UTC`;
      const pad = (number) => String(number).padStart(2, "0");
      const day = `${moment.getFullYear()}-${pad(moment.getMonth() + 1)}-${pad(moment.getDate())}`;
      const clock = `${pad(moment.getHours())}:${pad(moment.getMinutes())}:${pad(moment.getSeconds())}`;
      const short = element.dataset.local === "short" && moment.getFullYear() === new Date().getFullYear();
      element.textContent = `${short ? day.slice(5) : day} ${clock}`;
    });
  }

  function suggestByOtherField(list) {
    const other = document.querySelector(`[name=${list.dataset.dependsOn}]`);
    const all = [...list.options];
    if (!other) return;
    const refresh = () => list.replaceChildren(...all.filter((option) => option.dataset.for === other.value));
    other.addEventListener("change", refresh);
    refresh();
  }

  function addSkipLink() {
    const main = document.getElementById("content") || document.querySelector("main");
    if (!main) return;
    main.tabIndex = -1;
    const link = document.createElement("a");
    link.href = `#${main.id}`;
    link.className = "gh-skip";
    link.textContent = "Skip to the content";
    document.body.prepend(link);
  }

  // Looks among rows beneath a page: by its address, so that what was not saved is asked about before.
  function findRows(field) {
    const address = new URL(location.href);
    address.searchParams.delete(field.dataset.page);
    if (field.value.trim()) address.searchParams.set(field.dataset.find, field.value.trim());
    else address.searchParams.delete(field.dataset.find);
    address.hash = field.dataset.place;
    location.assign(address);
  }

  document.addEventListener("input", (event) => {
    if (event.target.matches?.("[data-find]")) event.stopPropagation(); // no change to the form
  }, true);

  document.addEventListener("keydown", (event) => {
    const element = event.target;
    if (event.key === "Enter" && element.matches?.("[data-find]")) {
      event.preventDefault();
      findRows(element);
    }
    if ((event.key === "Enter" || event.key === " ") && element.matches?.("[role=button][tabindex]:not(button):not(a[href])")) {
      event.preventDefault();
      element.click();
    }
    if (event.key === "Escape") closeFilters();
  });

  // The panel of filters lies over the list and comes behind it: focus goes to its first field when it opens, and is back
  // at its button when Escape closes it.
  const FIELDS = ["input:not([type=hidden])", "select", "textarea", "[href]", "button"];
  const MOST_FRAMES = 60;
  let opener;

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.('[x-on\\:click="filterOpen = true"]');
    if (!button) return;
    opener = button;
    enterFilters(MOST_FRAMES);
  });

  function enterFilters(frames) {
    const fields = FIELDS.map((each) => `#changelist-filter ${each}:not([tabindex="-1"])`).join();
    const first = [...document.querySelectorAll(fields)].find((field) => field.checkVisibility());
    if (first) first.focus();
    else if (frames) requestAnimationFrame(() => enterFilters(frames - 1));
  }

  function closeFilters() {
    document.getElementById("changelist-filter-close")?.click();
    opener?.focus();
    opener = undefined;
  }

  document.addEventListener("DOMContentLoaded", () => {
    addSkipLink();
    makeReachable(document);
    nameSearchFields(document);
    showLocalTimes(document);
    document.querySelectorAll("datalist[data-depends-on]").forEach(suggestByOtherField);
    new MutationObserver((changes) => {
      for (const change of changes) {
        for (const node of change.addedNodes) {
          if (node.nodeType === Node.ELEMENT_NODE && node.parentElement) {
            makeReachable(node.parentElement);
            nameSearchFields(node.parentElement);
            showLocalTimes(node.parentElement);
          }
        }
      }
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
