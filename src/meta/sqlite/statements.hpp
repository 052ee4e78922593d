#pragma once

#include <cstddef>

/// Every statement the engine runs while it serves, prepared once per connection. `{P}` is the table prefix.
namespace kiseki::meta::sqlite {

// clang-format off
#define KISEKI_NODE_COLUMNS \
  "type,flags,mode,uid,gid,atime,mtime,ctime,atimensec,mtimensec,ctimensec,nlink,length,rdev,parent,access_acl_id,default_acl_id,tier_id"

#define KISEKI_SQL_STATEMENTS(X)                                                                                              \
  X(begin_read, "BEGIN")                                                                                                      \
  X(begin_write, "BEGIN IMMEDIATE")                                                                                           \
  X(commit, "COMMIT")                                                                                                         \
  X(rollback, "ROLLBACK")                                                                                                     \
  /* reading */                                                                                                               \
  X(get_attr, "SELECT " KISEKI_NODE_COLUMNS " FROM {P}node WHERE inode=?")                                                    \
  X(has_attr, "SELECT 1 FROM {P}node WHERE inode=?")                                                                          \
  X(get_entry, "SELECT inode,type FROM {P}edge WHERE parent=? AND name=?")                                                    \
  X(has_entries, "SELECT 1 FROM {P}edge WHERE parent=? LIMIT 1")                                                              \
  X(get_chunk, "SELECT slices FROM {P}chunk WHERE inode=? AND indx=?")                                                        \
  X(get_symlink, "SELECT target FROM {P}symlink WHERE inode=?")                                                               \
  X(get_xattr, "SELECT value FROM {P}xattr WHERE inode=? AND name=?")                                                         \
  X(get_xattrs, "SELECT name,value FROM {P}xattr WHERE inode=?")                                                              \
  X(get_parents, "SELECT parent,count(*) FROM {P}edge WHERE inode=? GROUP BY parent")                                         \
  X(get_counter, "SELECT value FROM {P}counter WHERE name=?")                                                                 \
  X(get_slice_ref, "SELECT size,refs FROM {P}chunk_ref WHERE chunkid=?")                                                      \
  X(get_dir_stat, "SELECT data_length,used_space,used_inodes FROM {P}dir_stats WHERE inode=?")                                \
  X(get_dir_quota, "SELECT max_space,max_inodes,used_space,used_inodes FROM {P}dir_quota WHERE inode=?")                      \
  X(get_id_quota, "SELECT max_space,max_inodes,used_space,used_inodes FROM {P}user_group_quota WHERE qtype=? AND qkey=?")     \
  X(get_flocks, "SELECT sid,owner,ltype FROM {P}flock WHERE inode=? ORDER BY sid,owner")                                      \
  X(get_plocks, "SELECT sid,owner,records FROM {P}plock WHERE inode=? ORDER BY sid,owner")                                    \
  X(get_acl, "SELECT owner,`group`,mask,other,named_users,named_groups FROM {P}acl WHERE id=?")                               \
  X(get_setting, "SELECT value FROM {P}setting WHERE name='format'")                                                          \
  X(get_session, "SELECT expire,info FROM {P}session2 WHERE sid=?")                                                           \
  X(count_children,                                                                                                           \
    "SELECT coalesce(sum(CASE WHEN n.type=1 THEN n.length ELSE 0 END),0),"                                                    \
    "coalesce(sum(CASE WHEN n.type=1 AND n.length>0 THEN (n.length+4095)/4096*4096 ELSE 4096 END),0),count(*) "               \
    "FROM {P}edge e JOIN {P}node n ON n.inode=e.inode WHERE e.parent=?")                                                      \
  /* scanning */                                                                                                              \
  X(scan_entries, "SELECT name,inode,type FROM {P}edge WHERE parent=? AND name>? ORDER BY name LIMIT ?")                      \
  X(scan_chunks, "SELECT indx,slices FROM {P}chunk WHERE inode=? ORDER BY indx")                                              \
  X(find_chunks,                                                                                                              \
    "SELECT indx FROM {P}chunk WHERE inode=? AND indx>=? AND indx<? AND length(CAST(slices AS BLOB))>0 ORDER BY indx")        \
  X(scan_sessions, "SELECT sid,expire,info FROM {P}session2 ORDER BY sid")                                                    \
  X(scan_sustained, "SELECT inode FROM {P}sustained WHERE sid=? ORDER BY inode")                                              \
  X(scan_flocks, "SELECT inode,owner,ltype FROM {P}flock WHERE sid=? ORDER BY inode,owner")                                   \
  X(scan_plocks, "SELECT inode,owner,records FROM {P}plock WHERE sid=? ORDER BY inode,owner")                                 \
  X(scan_deleted, "SELECT inode,length,expire FROM {P}delfile WHERE expire<? LIMIT ?")                                        \
  X(scan_dead_slices, "SELECT chunkid,size,refs FROM {P}chunk_ref WHERE refs<=0 LIMIT ?")                                     \
  X(scan_delayed, "SELECT chunkid,deleted,slices FROM {P}delslices WHERE deleted<? LIMIT ?")                                  \
  X(scan_dir_quotas, "SELECT inode,max_space,max_inodes,used_space,used_inodes FROM {P}dir_quota ORDER BY inode")             \
  X(scan_id_quotas, "SELECT qtype,qkey,max_space,max_inodes,used_space,used_inodes FROM {P}user_group_quota ORDER BY 1,2")    \
  X(scan_acls, "SELECT id,owner,`group`,mask,other,named_users,named_groups FROM {P}acl ORDER BY id")                         \
  /* inodes */                                                                                                                \
  X(put_attr,                                                                                                                 \
    "INSERT INTO {P}node(inode," KISEKI_NODE_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "                       \
    "ON CONFLICT(inode) DO UPDATE SET type=excluded.type,flags=excluded.flags,mode=excluded.mode,uid=excluded.uid,"           \
    "gid=excluded.gid,atime=excluded.atime,mtime=excluded.mtime,ctime=excluded.ctime,atimensec=excluded.atimensec,"           \
    "mtimensec=excluded.mtimensec,ctimensec=excluded.ctimensec,nlink=excluded.nlink,length=excluded.length,"                  \
    "rdev=excluded.rdev,parent=excluded.parent,access_acl_id=excluded.access_acl_id,"                                         \
    "default_acl_id=excluded.default_acl_id,tier_id=excluded.tier_id")                                                        \
  X(touch_attr, "UPDATE {P}node SET mtime=?,mtimensec=?,ctime=?,ctimensec=?,nlink=? WHERE inode=?")                       \
  X(grow_attr, "UPDATE {P}node SET mtime=?,mtimensec=?,ctime=?,ctimensec=?,length=? WHERE inode=?")                           \
  X(erase_attr, "DELETE FROM {P}node WHERE inode=?")                                                                          \
  /* names */                                                                                                                 \
  X(put_entry,                                                                                                                \
    "INSERT INTO {P}edge(parent,name,inode,type) VALUES(?,?,?,?) "                                                            \
    "ON CONFLICT(parent,name) DO UPDATE SET inode=excluded.inode,type=excluded.type")                                         \
  X(erase_entry, "DELETE FROM {P}edge WHERE parent=? AND name=?")                                                             \
  X(put_symlink, "INSERT INTO {P}symlink(inode,target) VALUES(?,?) ON CONFLICT(inode) DO UPDATE SET target=excluded.target")  \
  X(erase_symlink, "DELETE FROM {P}symlink WHERE inode=?")                                                                    \
  X(put_xattr,                                                                                                                \
    "INSERT INTO {P}xattr(inode,name,value) VALUES(?,?,?) ON CONFLICT(inode,name) DO UPDATE SET value=excluded.value")        \
  X(erase_xattr, "DELETE FROM {P}xattr WHERE inode=? AND name=?")                                                             \
  X(erase_xattrs, "DELETE FROM {P}xattr WHERE inode=?")                                                                       \
  /* data: `||` makes a TEXT of two blobs, so cast back */                                                                    \
  X(append_slices,                                                                                                            \
    "INSERT INTO {P}chunk(inode,indx,slices) VALUES(?,?,?) "                                                                  \
    "ON CONFLICT(inode,indx) DO UPDATE SET slices=CAST(slices||excluded.slices AS BLOB) "                                     \
    "RETURNING length(CAST(slices AS BLOB))")                                                                                 \
  X(put_chunk, "INSERT INTO {P}chunk(inode,indx,slices) VALUES(?,?,?) ON CONFLICT(inode,indx) DO UPDATE SET slices=excluded.slices") \
  X(erase_chunk, "DELETE FROM {P}chunk WHERE inode=? AND indx=?")                                                             \
  X(add_slice_ref,                                                                                                            \
    "INSERT INTO {P}chunk_ref(chunkid,size,refs) VALUES(?,?,?) "                                                              \
    "ON CONFLICT(chunkid) DO UPDATE SET refs=refs+excluded.refs RETURNING refs")                                              \
  X(erase_slice_ref, "DELETE FROM {P}chunk_ref WHERE chunkid=?")                                                              \
  X(put_delayed,                                                                                                              \
    "INSERT INTO {P}delslices(chunkid,deleted,slices) VALUES(?,?,?) "                                                         \
    "ON CONFLICT(chunkid) DO UPDATE SET deleted=excluded.deleted,slices=excluded.slices")                                     \
  X(erase_delayed, "DELETE FROM {P}delslices WHERE chunkid=?")                                                                \
  X(put_deleted,                                                                                                              \
    "INSERT INTO {P}delfile(inode,length,expire) VALUES(?,?,?) "                                                              \
    "ON CONFLICT(inode) DO UPDATE SET length=excluded.length,expire=excluded.expire")                                         \
  X(erase_deleted, "DELETE FROM {P}delfile WHERE inode=?")                                                                    \
  /* usage */                                                                                                                 \
  X(put_counter, "INSERT INTO {P}counter(name,value) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET value=excluded.value")       \
  X(add_dir_stat,                                                                                                             \
    "UPDATE {P}dir_stats SET data_length=data_length+?,used_space=used_space+?,used_inodes=used_inodes+? WHERE inode=?")      \
  X(put_dir_stat,                                                                                                             \
    "INSERT INTO {P}dir_stats(inode,data_length,used_space,used_inodes) VALUES(?,?,?,?) ON CONFLICT(inode) "                  \
    "DO UPDATE SET data_length=excluded.data_length,used_space=excluded.used_space,used_inodes=excluded.used_inodes")         \
  X(erase_dir_stat, "DELETE FROM {P}dir_stats WHERE inode=?")                                                                 \
  X(put_dir_quota,                                                                                                            \
    "INSERT INTO {P}dir_quota(inode,max_space,max_inodes,used_space,used_inodes) VALUES(?,?,?,?,?) ON CONFLICT(inode) "       \
    "DO UPDATE SET max_space=excluded.max_space,max_inodes=excluded.max_inodes,used_space=excluded.used_space,"               \
    "used_inodes=excluded.used_inodes")                                                                                       \
  X(put_id_quota,                                                                                                             \
    "INSERT INTO {P}user_group_quota(qtype,qkey,max_space,max_inodes,used_space,used_inodes) VALUES(?,?,?,?,?,?) "            \
    "ON CONFLICT(qtype,qkey) DO UPDATE SET max_space=excluded.max_space,max_inodes=excluded.max_inodes,"                      \
    "used_space=excluded.used_space,used_inodes=excluded.used_inodes")                                                        \
  X(add_dir_quota, "UPDATE {P}dir_quota SET used_space=used_space+?,used_inodes=used_inodes+? WHERE inode=?")                 \
  X(add_id_quota,                                                                                                             \
    "INSERT INTO {P}user_group_quota(qtype,qkey,max_space,max_inodes,used_space,used_inodes) VALUES(?,?,-1,-1,?,?) "          \
    "ON CONFLICT(qtype,qkey) DO UPDATE SET used_space=used_space+excluded.used_space,"                                        \
    "used_inodes=used_inodes+excluded.used_inodes")                                                                           \
  X(erase_dir_quota, "DELETE FROM {P}dir_quota WHERE inode=?")                                                                \
  X(erase_id_quota, "DELETE FROM {P}user_group_quota WHERE qtype=? AND qkey=?")                                               \
  /* sessions and locks */                                                                                                    \
  X(put_session,                                                                                                              \
    "INSERT INTO {P}session2(sid,expire,info) VALUES(?,?,?) ON CONFLICT(sid) "                                                \
    "DO UPDATE SET expire=excluded.expire,info=CASE WHEN length(excluded.info)>0 THEN excluded.info ELSE info END")           \
  X(erase_session, "DELETE FROM {P}session2 WHERE sid=?")                                                                     \
  X(put_sustained, "INSERT INTO {P}sustained(sid,inode) VALUES(?,?) ON CONFLICT(sid,inode) DO NOTHING")                       \
  X(erase_sustained, "DELETE FROM {P}sustained WHERE sid=? AND inode=?")                                                      \
  X(put_flock,                                                                                                                \
    "INSERT INTO {P}flock(inode,sid,owner,ltype) VALUES(?,?,?,?) ON CONFLICT(inode,sid,owner) DO UPDATE SET ltype=excluded.ltype") \
  X(erase_flock, "DELETE FROM {P}flock WHERE inode=? AND sid=? AND owner=?")                                                  \
  X(put_plock,                                                                                                                \
    "INSERT INTO {P}plock(inode,sid,owner,records) VALUES(?,?,?,?) "                                                          \
    "ON CONFLICT(inode,sid,owner) DO UPDATE SET records=excluded.records")                                                    \
  X(erase_plock, "DELETE FROM {P}plock WHERE inode=? AND sid=? AND owner=?")                                                  \
  X(erase_flocks_of, "DELETE FROM {P}flock WHERE sid=?")                                                                      \
  X(erase_plocks_of, "DELETE FROM {P}plock WHERE sid=?")                                                                      \
  /* the rest */                                                                                                              \
  X(add_acl, "INSERT INTO {P}acl(owner,`group`,mask,other,named_users,named_groups) VALUES(?,?,?,?,?,?)")                     \
  X(put_setting, "INSERT INTO {P}setting(name,value) VALUES('format',?) ON CONFLICT(name) DO UPDATE SET value=excluded.value")
// clang-format on

enum class Sql : std::size_t {
#define KISEKI_SQL_NAME(name, text) name,
  KISEKI_SQL_STATEMENTS(KISEKI_SQL_NAME)
#undef KISEKI_SQL_NAME
};

inline constexpr const char* kSqlTexts[] = {
#define KISEKI_SQL_TEXT(name, text) text,
    KISEKI_SQL_STATEMENTS(KISEKI_SQL_TEXT)
#undef KISEKI_SQL_TEXT
};

}  // namespace kiseki::meta::sqlite
