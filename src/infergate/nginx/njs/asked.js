// asked: an inference endpoint that only some engines have; its JSON body takes the long way.
import admit from 'admit.js';
import careful from 'careful.js';
import query from 'query.js';

export default { admit: admit.admit, query: query.kept, serve: careful.serve };
