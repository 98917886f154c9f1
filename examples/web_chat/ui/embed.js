/** What the site around makes of its rooms: a count in its menu, a way in, and the second channel. */

const rooms = [...document.querySelectorAll('chat-room')];
const badge = document.querySelector('#unread');
const invitation = document.querySelector('#sign-in');

document.addEventListener('chat-unread', () => {
  const unread = rooms.reduce((sum, room) => sum + room.unread, 0);
  badge.hidden = unread === 0;
  badge.textContent = `${unread} new`;
});

document.addEventListener('chat-status', ({ target }) => statusChanged(target));

// A room may have been faster than this script.
for (const room of rooms) statusChanged(room);

function statusChanged({ channel, core, status }) {
  invitation.hidden = status !== 'signed-out';
  if (status !== 'online' || channel !== 'greenhouse') return;
  // It is there already at every visit but the first.
  core.createChannel({ name: channel, topic: 'What grows under glass' }).catch(() => {});
}
