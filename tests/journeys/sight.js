/** What of a channel somebody has before their eyes, and whether they look. */

/** Scrolls to a place and notes the first message in sight, in one step, so that nothing can come between. */
export function scrollTo(person, top) {
  return person.log.evaluate((log, place) => {
    log.scrollTop = place;
    const edge = log.getBoundingClientRect().top;
    const article = [...log.querySelectorAll('article')].find((one) => one.getBoundingClientRect().bottom > edge);
    return { seq: article.dataset.seq, top: article.getBoundingClientRect().top };
  }, top);
}

/** Where that message stands after everything has been laid out and painted. */
export function placeOf(person, seq) {
  return person.log.evaluate(
    (log, wanted) =>
      new Promise((resolve) => {
        const measure = () => resolve(log.querySelector(`article[data-seq="${wanted}"]`).getBoundingClientRect().top);
        requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(measure)));
      }),
    seq,
  );
}

/** The line above what is new. */
export function newLine(page) {
  return page.getByRole('log').getByRole('separator').filter({ hasText: 'New' });
}

/** The text of the message beneath it. */
export function beneath(line) {
  return line.evaluate((element) => element.nextElementSibling.querySelector('.text').textContent);
}

/** Whether an element is within what the log shows. */
export function isInSight(locator) {
  return locator.evaluate((element) => {
    const box = element.getBoundingClientRect();
    const log = element.closest('[role=log]').getBoundingClientRect();
    return box.top >= log.top - 1 && box.bottom <= log.bottom + 1;
  });
}

/** Puts a page behind another tab: nobody looks at it, and the browser draws it no more. */
export function putBehind(page) {
  return page.evaluate(() => {
    const waiting = [];
    const { requestAnimationFrame } = globalThis;
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden', configurable: true });
    document.hasFocus = () => false;
    globalThis.requestAnimationFrame = (run) => waiting.push(run);
    globalThis.backInFront = () => {
      delete document.visibilityState;
      delete document.hasFocus;
      globalThis.requestAnimationFrame = requestAnimationFrame;
      document.dispatchEvent(new Event('visibilitychange'));
      dispatchEvent(new Event('focus'));
      for (const run of waiting) requestAnimationFrame(run);
    };
    dispatchEvent(new Event('blur'));
    document.dispatchEvent(new Event('visibilitychange'));
  });
}

/** Brings it to the front again. */
export function bringBack(page) {
  return page.evaluate(() => globalThis.backInFront());
}
